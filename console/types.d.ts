// The types of the API's responses; docs/openapi.json is the contract.

export type ContentType = (typeof import("./content-types.js").TYPES)[number];
export type Counts = Record<ContentType, number>;
export type Action =
  | "none"
  | "save"
  | "generate"
  | "replace_id"
  | "next_version"
  | "reject_and_generate"
  | "wait"
  | "person";

export interface Page<T> {
  items: T[];
  next_cursor: string | null;
}

export interface Me {
  user_id: string;
  roles: string[];
  expires_at: string | null;
}

export interface TopReason {
  error_code: string;
  stage: string;
  reason: string;
  items: number;
}

export interface TaskRow {
  task_id: string;
  roadmap_id: string | null;
  title: string | null;
  user_id: string;
  status: string;
  current_step: string | null;
  attempt: number;
  updated_at: string | null;
  created_at: string | null;
  completed_at: string | null;
  progress: { total: number; saved: number; missing: number; failed: number } | null;
  top_reason: TopReason | null;
  needs_person: boolean;
  ours: boolean;
}

export interface TaskPage extends Page<TaskRow> {
  total: number;
  total_is_exact: boolean;
}

export interface Task {
  task_id: string;
  roadmap_id: string | null;
  title: string | null;
  user_id: string;
  status: string;
  current_step: string | null;
  attempt: number;
  execution_arn: string | null;
  execution_url: string | null;
  progress: Record<ContentType, { total: number; saved: number; missing: number }>;
  error_message: string | null;
  created_at: string | null;
  updated_at: string | null;
  completed_at: string | null;
  live: boolean;
  /** narrow: a retry may be limited to a concept or a content type, and may replace saved items. */
  actions: { retry: boolean; cancel: boolean; checkpoint: boolean; narrow?: boolean };
  tokens: { used: number; budget: number | null } | null;
  /** Only while the attempt waits for a slot. */
  generation_stopped?: { since: string | null; reason: string } | null;
  queue?: { position: number; at_least: boolean; stopped: boolean; starts_in_seconds: number | null } | null;
}

export interface Reason {
  error_code: string;
  stage: string;
  reason: string;
  remedy: Action;
  needs_person: boolean;
  items: number;
  by_type: Record<string, number>;
}

export interface ItemsPage {
  task_id: string;
  stages?: { name: string; modules: { name: string; concepts: [string, string][] }[] }[];
  states: string;
  reasons?: Reason[];
  reason_of?: [number, number][];
  next_cursor: string | null;
}

export interface ItemDetail {
  concept_id: string;
  name: string;
  content_type: ContentType;
  stage: string | null;
  module: string | null;
  state: string;
  next_action: Action;
  next_action_text: string;
  failures: {
    attempt: number;
    stage: string;
    error_code: string;
    reason: string;
    transient: boolean;
    occurred_at: string;
  }[];
  staged: { size: number; stored_at: string; fingerprint: string | null; text?: string | null } | null;
  rejected: {
    key: string;
    attempt: number | null;
    error_code: string | null;
    reason: string | null;
    size: number;
    stored_at: string;
    text?: string | null;
  }[];
  saved: { id: string; version: number | null; generated_at: string | null; origin?: Origin | null } | null;
}

/** How content came to be. */
export interface Origin {
  generator: string | null;
  model_id: string | null;
  prompt_version: string | null;
  tokens_in: number | null;
  tokens_out: number | null;
  attempt: number | null;
  actor: string | null;
  reason: string | null;
  restored_from: string | null;
  recorded_at: string | null;
}

export interface Revision {
  revision_id: string;
  current: boolean;
  version: number | null;
  generated_at: string | null;
  replaced_at: string | null;
  reason: string | null;
  size: number | null;
  origin: Origin | null;
}

export interface SavedItem {
  concept_id: string;
  content_type: ContentType;
  generated_at: string | null;
  content: Record<string, unknown>;
  content_link: string | null;
}

/** An entry of a task's log. */
export interface Change {
  cursor: string;
  id: string;
  type: string;
  time: string;
  data: Record<string, any>;
}

export interface Attempt {
  attempt: number;
  actor: string;
  cause: string;
  reason: string | null;
  execution_arn: string | null;
  execution_url: string | null;
  redrive_count: number;
  step: string | null;
  claimed_at: string;
  ended_at: string | null;
  outcome: string | null;
  planned: Partial<Counts> | null;
  saved: Partial<Counts> | null;
  failed: Partial<Counts> | null;
  not_started?: Partial<Counts> | null;
  generated: Partial<Counts> | null;
  tokens: number | null;
}

export interface RetryPreview {
  dry_run: true;
  task_id: string;
  staged: Counts;
  to_generate: Counts;
  total_items: number;
  estimated_tokens: number | null;
  estimate_basis: string;
}

export interface FailureGroup {
  group_id: string;
  error_code: string;
  stage: string;
  reason: string;
  example: { task_id: string; concept_id: string; content_type: ContentType; reason: string } | null;
  tasks: number;
  items: number;
  by_type: Record<string, number>;
  first_seen: string;
  last_seen: string;
  transient: boolean;
  remedy: Action;
  remedy_text: string;
  needs_person: boolean;
  by_hour: [string, number][];
  state: GroupState;
  state_by: string | null;
  state_at: string | null;
  note: string | null;
  ignored_until: string | null;
  ignored_until_tasks: number | null;
}

export type GroupState = "new" | "regressed" | "acknowledged" | "ignored" | "resolved";

export interface GroupDetail extends FailureGroup {
  changes: { at: string; actor: string; state: GroupState; note: string; until: string | null; until_tasks: number | null }[];
  recoveries: Recovery[];
}

export interface Filter {
  status?: string[];
  error_code?: string;
  content_type?: string;
  user_id?: string;
  updated_after?: string;
  updated_before?: string;
  q?: string;
  group_id?: string;
  task_ids?: string[];
}

export interface RecoveryPreview {
  dry_run: true;
  tasks: number;
  items: { staged: Counts; to_generate: Counts };
  estimated_tokens: number | null;
  estimated_minutes: number | null;
  refused: Record<string, number>;
}

export interface Recovery {
  recovery_id: string;
  state: string;
  actor: string;
  reason: string;
  filter: Filter & { regenerate?: Filter };
  rate_per_minute: number;
  concurrency: number;
  token_budget: number | null;
  canary: number;
  breaker: number;
  created_at: string;
  started_at: string | null;
  ended_at: string | null;
  counts: {
    total: number;
    waiting: number;
    running: number;
    recovered: number;
    still_failing: number;
    refused: number;
  };
  tokens_used: number;
  rate_actual: number | null;
  execution_arn: string | null;
  stop_reason: string | null;
  undone?: UndoCounts | null;
}

export interface UndoCounts {
  tasks_left: number;
  restored: number;
  not_replaced: number;
  left_alone: number;
}

export interface TaskUndo {
  restored: number;
  not_replaced: number;
  left_alone: { concept_id: string; content_type: ContentType; reason: string }[];
}

export interface RecoveryTask {
  task_id: string;
  title?: string | null;
  result: string;
  reason: string | null;
  attempt: number | null;
  started_at: string | null;
  ended_at: string | null;
  canary: boolean;
  undone?: TaskUndo | null;
}

export interface Health {
  status: "ok" | "attention";
  stuck_tasks: number;
  more_stuck_tasks: boolean;
  drifted_tasks: number;
  last_sweep: {
    at: string;
    seconds: number;
    checked: number;
    repaired: number;
    refused: number;
    finished: boolean;
  } | null;
  outbox_waiting: number;
  queue: { waiting: number; oldest_waiting_since: string | null; at_work: number; slots: number; stopped_reason: string | null };
  outbox_aside: number;
  tokens: { spent_24h: number; saved_by_staging_24h: number };
  tasks: Record<string, number>;
  tasks_estimated: string[];
  recoveries_running: number;
  failure_groups?: Partial<Record<GroupState, number>>;
  schema_revision: string | null;
  release: string | null;
  attention: { what: string; text: string; runbook: string | null }[];
}
