// The types of the API's answers and requests. Written by `make openapi`.

export interface Actions {
  retry: boolean;
  cancel: boolean;
  checkpoint: boolean;
  narrow: boolean;
}

export interface Activity {
  hours: (HourOfWork)[];
}

export interface AttemptPage {
  items: (AttemptRow)[];
  next_cursor: string | null;
}

export interface AttemptRow {
  attempt: number;
  actor: string;
  cause: Cause;
  reason: string | null;
  execution_arn: string | null;
  execution_url: string | null;
  redrive_count: number;
  step: string;
  claimed_at: string;
  ended_at: string | null;
  outcome: string | null;
  planned: Record<string, number> | null;
  saved: Record<string, number> | null;
  failed: Record<string, number> | null;
  not_started: Record<string, number> | null;
  temporary: Record<string, number>;
  generated: Record<string, number> | null;
  tokens: number;
  scope: AttemptScope | null;
}

export interface AttemptScope {
  concept_id: string | null;
  content_type: ContentType | null;
  regenerate: boolean;
  instruction: string | null;
}

export interface Attention {
  what: string;
  text: string;
  runbook: string;
}

export interface AutomaticAttempts {
  tasks: number;
  next_at: string | null;
}

export interface CancelAnswer {
  success: boolean;
  task_id: string;
  status: "cancelled" | "completed";
  attempt: number;
  stopped_execution: string | null;
}

export interface CapacityAnswer {
  slots: number;
  tokens_per_minute: number | null;
  stopped: boolean;
  stopped_reason: string | null;
  classes: (ClassInQueue)[];
  users: (UserInQueue)[];
  changes: (CapacityChange)[];
}

export interface CapacityChange {
  at: string;
  actor: string;
  reason: string;
  slots_before: number;
  slots: number;
  tokens_per_minute_before: number | null;
  tokens_per_minute: number | null;
  stopped_before: boolean;
  stopped: boolean;
}

export interface CapacityRequest {
  slots?: number | null;
  tokens_per_minute?: number | null;
  stopped?: boolean | null;
  reason: string;
}

export type Cause = "first_run" | "retry" | "checkpoint" | "console_redrive" | "automatic" | "recovery";

export interface Change {
  cursor: string;
  id: string;
  type: string;
  time: string;
  data: Record<string, any>;
}

export interface ChangePage {
  items: (Change)[];
  next_cursor: string | null;
  status: string;
  more: boolean;
  restarted: boolean;
}

export interface ChangeRequest {
  instruction?: string | null;
  revision?: string | null;
}

export interface ClassInQueue {
  queue_class: QueueClass;
  waiting: number;
  waiting_tokens: number;
  oldest_waiting_since: string | null;
  at_work: number;
}

export type ContentType = "tutorial" | "resources" | "quiz";

export interface DatabaseFinding {
  kind: string;
  object: string;
  message: string;
}

export interface DueErasure {
  erasure_id: string;
  user_id: string;
  product_rows: boolean;
}

export interface ErasureAnswer {
  dry_run: boolean;
  complete: boolean;
  removed: Removed;
  stays: Removed;
  after: string | null;
  waits_until: string | null;
  remains: (Remainder)[];
  receipt: Receipt | null;
  digest: string | null;
}

export interface FailedItem {
  concept_id: string;
  content_type: ContentType;
  stage: Stage;
  error_code: string;
  reason: string;
}

export interface FailureExample {
  task_id: string;
  concept_id: string;
  content_type: ContentType;
  reason: string;
}

export interface FailureGroup {
  group_id: string;
  error_code: string;
  sentence: string | null;
  stage: Stage;
  reason: string;
  example: FailureExample | null;
  tasks: number;
  items: number;
  by_type: Record<string, number>;
  first_seen: string;
  last_seen: string;
  transient: boolean;
  remedy: NextAction;
  remedy_text: string;
  turn: Turn;
  state: GroupState;
  state_by: string | null;
  state_at: string | null;
  note: string | null;
  ignored_until: string | null;
  ignored_until_tasks: number | null;
  by_hour: ([string, number])[];
}

export interface FailureGroupDetail {
  group_id: string;
  error_code: string;
  sentence: string | null;
  stage: Stage;
  reason: string;
  example: FailureExample | null;
  tasks: number;
  items: number;
  by_type: Record<string, number>;
  first_seen: string;
  last_seen: string;
  transient: boolean;
  remedy: NextAction;
  remedy_text: string;
  turn: Turn;
  state: GroupState;
  state_by: string | null;
  state_at: string | null;
  note: string | null;
  ignored_until: string | null;
  ignored_until_tasks: number | null;
  by_hour: ([string, number])[];
  changes: (GroupChangeRow)[];
  recoveries: (RecoveryAnswer)[];
}

export interface FailureHistory {
  since: string;
  hours: (FailureHour)[];
  healed: (HealedGroup)[];
}

export interface FailureHour {
  hour: string;
  failed: number;
  still: number;
}

export interface FailurePage {
  items: (FailureGroup)[];
  next_cursor: string | null;
}

export interface GenerationStop {
  since: string | null;
  reason: string;
}

export interface GroupChangeRow {
  at: string;
  actor: string;
  state: GroupState;
  note: string;
  until: string | null;
  until_tasks: number | null;
}

export type GroupState = "new" | "regressed" | "acknowledged" | "ignored" | "resolved";

export interface GroupStateRequest {
  state: "new" | "acknowledged" | "ignored" | "resolved";
  note: string;
  until?: string | null;
  until_tasks?: number | null;
}

export interface HealedGroup {
  group_id: string;
  error_code: string;
  sentence: string | null;
  stage: Stage;
  reason: string;
  failed: number;
  last_seen: string;
  automatically: number;
  by_recovery: number;
  by_person: number;
}

export interface Health {
  status: "ok" | "attention";
  stuck_tasks: number;
  more_stuck_tasks: boolean;
  drifted_tasks: number;
  last_sweep: LastSweep | null;
  outbox_waiting: number;
  more_outbox_waiting: boolean;
  outbox_aside: number;
  erasures_unfinished: number;
  queue: QueueHealth;
  automatic: AutomaticAttempts;
  tokens_24h: number;
  tasks: Record<string, number>;
  tasks_estimated: (string)[];
  recoveries_running: number;
  recoveries_paused: number;
  failure_groups: Record<string, number>;
  failure_groups_ringing: number;
  database: (DatabaseFinding)[];
  schema_revision: string;
  release: string;
  attention: (Attention)[];
}

export interface HourOfWork {
  hour: string;
  waiting: number;
  at_work: number;
  saved: number;
  failed: number;
  spent: number;
}

export interface Identity {
  user_id: string;
  roles: (Role)[];
}

export interface ItemDetail {
  concept_id: string;
  name: string;
  content_type: ContentType;
  stage: string;
  module: string;
  state: ItemState;
  next_action: NextAction;
  next_action_text: string;
  failures: (ItemFailure)[];
  staged: StagedContent | null;
  rejected: (RejectedContent)[];
  saved: SavedContent | null;
}

export interface ItemFailure {
  attempt: number;
  stage: Stage;
  error_code: string;
  sentence: string | null;
  reason: string;
  transient: boolean;
  occurred_at: string;
}

export interface ItemMap {
  task_id: string;
  roadmap_id: string | null;
  concepts: number;
  stages: (StageMap)[] | null;
  states: string;
  reasons: (ReasonRow)[];
  reason_of: ([number, number])[];
  next_cursor: string | null;
}

export interface ItemOrigin {
  generator: string | null;
  model_id: string | null;
  prompt_version: string | null;
  tokens_in: number | null;
  tokens_out: number | null;
  task_id: string | null;
  attempt: number | null;
  actor: string | null;
  reason: string | null;
  instruction: string | null;
  restored_from: string | null;
  recorded_at: string | null;
}

export type ItemState = "saved" | "staged" | "missing" | "rejected" | "generating";

export interface ItemTotals {
  total: number;
  saved: number;
  missing: number;
  failed: number;
}

export interface LastSweep {
  at: string;
  seconds: number;
  checked: number;
  repaired: number;
  refused: number;
  finished: boolean;
}

export interface LeftAlone {
  concept_id: string;
  content_type: ContentType;
  reason: string;
}

export interface ModuleMap {
  name: string;
  concepts: ([string, string])[];
}

export type NextAction = "none" | "save" | "generate" | "replace_id" | "next_version" | "reject_and_generate" | "wait" | "person";

export interface ObjectCount {
  objects: number;
  bytes: number;
}

export interface OriginCount {
  generator: string | null;
  model_id: string | null;
  prompt_version: string | null;
  content_type: ContentType;
  saved: number;
  refused: number;
}

export interface OriginCounts {
  items: (OriginCount)[];
}

export interface PreviewItems {
  staged: Record<string, number>;
  to_generate: Record<string, number>;
}

export interface Progress {
  total: number;
  saved: number;
  missing: number;
  generated: number;
}

export type QueueClass = "interactive" | "bulk" | "bulk_paused";

export interface QueueHealth {
  waiting: number;
  oldest_waiting_since: string | null;
  at_work: number;
  slots: number;
  stopped_reason: string | null;
}

export interface QueuePlace {
  position: number;
  at_least: boolean;
  stopped: boolean;
  starts_in_seconds: number | null;
}

export interface ReasonRow {
  error_code: string;
  sentence: string | null;
  stage: Stage;
  reason: string;
  remedy: NextAction;
  remedy_text: string;
  items: number;
  by_type: Record<string, number>;
}

export interface Receipt {
  erasure_id: string;
  actor: string;
  product_rows: boolean;
  began_at: string;
  ended_at: string | null;
  removed: Removed;
}

export interface RecoveryAnswer {
  recovery_id: string;
  state: RecoveryState;
  actor: string;
  reason: string;
  filter: Record<string, any>;
  rate_per_minute: number;
  concurrency: number;
  token_budget: number | null;
  canary: number;
  breaker: number;
  created_at: string;
  started_at: string | null;
  ended_at: string | null;
  counts: Record<string, number>;
  tokens_used: number;
  rate_actual: number | null;
  stop_reason: string | null;
  progress: RecoveryProgress | null;
  undone: UndoCounts | null;
}

export interface RecoveryFilter {
  status?: (string)[];
  error_code?: string | null;
  content_type?: ContentType | null;
  user_id?: string | null;
  updated_after?: string | null;
  updated_before?: string | null;
  q?: string | null;
  group_id?: string | null;
  task_ids?: (string)[];
  all_missing?: boolean;
}

export interface RecoveryPage {
  items: (RecoveryAnswer)[];
  next_cursor: string | null;
}

export interface RecoveryPreview {
  dry_run: boolean;
  tasks: number;
  items: PreviewItems;
  estimated_tokens: number | null;
  other_items: number;
  other_tokens: number | null;
  estimated_minutes: number;
  refused: Record<string, number>;
}

export interface RecoveryProgress {
  ended: ([string, number])[];
  least_seconds: number | null;
  most_seconds: number | null;
}

export interface RecoveryRequest {
  filter?: RecoveryFilter;
  regenerate?: RegenerationFilter | null;
  instruction?: string | null;
  reason: string;
  rate_per_minute?: number;
  concurrency?: number;
  token_budget?: number | null;
  canary?: number;
  breaker?: number;
  dry_run?: boolean;
}

export type RecoveryState = "waiting" | "canary" | "running" | "paused" | "paused_by_breaker" | "stopped_by_canary" | "stopped_by_budget" | "cancelled" | "completed";

export interface RecoveryTask {
  task_id: string;
  title: string | null;
  result: TaskResult;
  reason: string | null;
  attempt: number | null;
  started_at: string | null;
  ended_at: string | null;
  canary: boolean;
  undone: TaskUndo | null;
}

export interface RecoveryTaskPage {
  items: (RecoveryTask)[];
  next_cursor: string | null;
}

export interface Refusal {
  success: boolean;
  error: string;
  message: string;
  detail: string;
  attempt: number | null;
  current_step: string | null;
}

export interface RegenerationFilter {
  content_type?: ContentType | null;
  generator?: string | null;
  model_id?: string | null;
  prompt_version?: string | null;
  generated_after?: string | null;
  generated_before?: string | null;
  roadmap_id?: string | null;
  error_code?: string | null;
}

export interface RejectedContent {
  key: string;
  attempt: number;
  error_code: string | null;
  reason: string | null;
  size: number;
  stored_at: string;
  text: string | null;
}

export interface Remainder {
  data: string;
  until: string;
}

export interface Removed {
  rows: Record<string, number>;
  objects: Record<string, ObjectCount>;
  names: Record<string, number>;
  shared: (string)[];
}

export interface ReplayAnswer {
  registered: number;
  of_another_key: number;
  due: (DueErasure)[];
}

export interface RestoreAnswer {
  success: boolean;
  task_id: string;
  concept_id: string;
  content_type: ContentType;
  restored: boolean;
  content_id: string | null;
  version: number | null;
}

export interface RetryAnswer {
  success: boolean;
  recovery_type: "content_retry" | "checkpoint";
  task_id: string;
  roadmap_id: string | null;
  status: string;
  items_to_retry: Record<string, number>;
  total_items: number;
  attempt: number;
  execution_arn: string | null;
  queue: QueuePlace | null;
  message: string;
}

export interface RetryPreview {
  dry_run: boolean;
  task_id: string;
  staged: Record<string, number>;
  to_generate: Record<string, number>;
  total_items: number;
  estimated_tokens: number | null;
  estimate_basis: "task" | "roadmap" | "none";
}

export interface Revision {
  revision_id: string;
  content_id: string | null;
  current: boolean;
  version: number | null;
  generated_at: string | null;
  replaced_at: string | null;
  reason: string | null;
  size: number | null;
  origin: ItemOrigin | null;
}

export interface Revisions {
  items: (Revision)[];
}

export type Role = "owner" | "viewer" | "operator";

export interface SavedContent {
  id: string;
  version: number | null;
  generated_at: string | null;
  origin: ItemOrigin | null;
}

export interface SavedItem {
  concept_id: string;
  content_type: ContentType;
  generated_at: string | null;
  content: Record<string, any>;
  content_link: string | null;
}

export type Stage = "generate" | "save" | "workflow";

export interface StageMap {
  name: string;
  modules: (ModuleMap)[];
}

export interface StagedContent {
  size: number;
  stored_at: string;
  fingerprint: string;
  text: string | null;
}

export interface TaskDetail {
  task_id: string;
  roadmap_id: string | null;
  status: string;
  current_step: string | null;
  attempt: number;
  execution_arn: string | null;
  queue: QueuePlace | null;
  generation_stopped: GenerationStop | null;
  progress: Record<string, Progress>;
  failed_items: (FailedItem)[];
  skipped_concepts: (string)[];
  error_message: string | null;
  turn: Turn;
  updated_at: string;
  completed_at: string | null;
  title: string | null;
  created_at: string;
  user_id: string;
  live: boolean;
  execution_url: string | null;
  actions: Actions;
  tokens: TaskTokens;
  erased: Receipt | null;
}

export interface TaskPage {
  items: (TaskRow)[];
  next_cursor: string | null;
  total: number;
  total_is_exact: boolean;
}

export type TaskResult = "waiting" | "running" | "recovered" | "still_failing" | "refused";

export interface TaskRow {
  task_id: string;
  roadmap_id: string | null;
  title: string | null;
  user_id: string;
  status: string;
  current_step: string | null;
  attempt: number;
  updated_at: string;
  created_at: string;
  completed_at: string | null;
  progress: ItemTotals | null;
  top_reason: TopReason | null;
  turn: Turn;
  erased: boolean;
}

export interface TaskSource {
  task_id: string;
  user_id: string;
  roadmap_id: string;
  user_request: Record<string, any> | null;
  owner_id: string;
  title: string;
  total_estimated_hours: number | null;
  recommended_completion_weeks: number | null;
  framework_data: string;
  next_cursor: string | null;
}

export interface TaskTokens {
  used: number;
  budget: number | null;
}

export interface TaskUndo {
  restored: number;
  not_replaced: number;
  left_alone: (LeftAlone)[];
}

export interface TopReason {
  error_code: string;
  sentence: string | null;
  stage: Stage;
  reason: string;
  items: number;
}

export interface Turn {
  who: Who;
  at: string | null;
  why: string;
  recovery_id: string | null;
}

export interface Unauthorized {
  message: string;
}

export interface UndoAnswer {
  tasks_left: number;
  restored: number;
  not_replaced: number;
  left_alone: number;
  recovery_id: string;
  complete: boolean;
}

export interface UndoCounts {
  tasks_left: number;
  restored: number;
  not_replaced: number;
  left_alone: number;
}

export interface UserInQueue {
  queue_class: QueueClass;
  waiting: number;
  waiting_tokens: number;
  oldest_waiting_since: string | null;
  at_work: number;
  queue_key: string;
}

export type Who = "running" | "waiting" | "automatic" | "person" | "nobody";
