// English.

import { NAMES } from "./content-types.js";
import { REASONS } from "./reasons.js";

/** @param {number} count @param {string} one @param {string} [many] */
const n = (count, one, many = `${one}s`) => `${count.toLocaleString("en-GB")} ${count === 1 ? one : many}`;

/** @param {string} one */
const numberOf = (one) => (/** @type {number} */ count) => n(count, one);

export const en = {
  title: "Roadmap console",
  skip: "Skip to content",
  skipFurther: "Skip to the list or the map",
  otherLanguage: "中文",
  sections: { tasks: "Tasks", failures: "Failures", recoveries: "Recoveries", health: "Health" },
  theme: { auto: "Theme: system", light: "Theme: light", dark: "Theme: dark" },
  /** @type {Record<string, string>} */
  roles: { owner: "owner", viewer: "viewer", operator: "operator" },
  /** @type {Record<string, string>} */
  actors: { user: "owner", operator: "operator", console: "direct start", auto: "automatic", recovery: "recovery" },
  directStart: "Started in Step Functions without a token: in the AWS console, by the AWS CLI, by the product, or by “roadmap run”.",
  menu: "Menu",
  signOut: "Sign out",
  close: "Close",
  cancel: "Cancel",
  tryAgain: "Try again",
  loading: "Loading…",
  more: "Show more",
  unknown: "unknown",
  all: "all",
  none: "–",
  justNow: "just now",
  // Between a name and its text, the entries of a list, and two sentences.
  colon: ": ",
  comma: ", ",
  stop: ". ",
  /** @param {number} s */
  seconds: (s) => `${s} s`,
  /** @param {number} m @param {number} s */
  minutes: (m, s) => (s ? `${m} min ${s} s` : `${m} min`),
  /** @param {number} h @param {number} m */
  hours: (h, m) => (m ? `${h} h ${m} min` : `${h} h`),
  items: numberOf("item"),
  tasks: numberOf("task"),
  tokens: numberOf("token"),

  signIn: {
    heading: "Sign in",
    expired: "Your sign-in has expired or is not accepted. Sign in again: you will return to this page.",
    failed: "The sign-in was not completed. Try again. If it fails again, contact the administrator of the issuer.",
    unreachable: "The sign-in page cannot be reached. Check your network and try again.",
    intro: "The console shows the tasks that your token permits.",
    withIssuer: "Sign in with your organisation",
    orPaste: "Or paste a token",
    paste: "Token",
    pasteHelp: "A JSON Web Token for this API. It stays in this tab and is never part of an address.",
    notAToken: "This is not a JSON Web Token: it has three parts, separated by dots.",
    submit: "Sign in",
    replace: "You are signed in, and this link contains the token of another sign-in. Replace yours? Cancel if you do not know who made the link.",
    local: "On a local stack, “roadmap up” prints a link that signs you in.",
  },

  errors: {
    network: "The API cannot be reached.",
    token: "Your sign-in has expired or is not accepted.",
    forbidden: "Your role does not allow this. An operator can do it.",
    missing: "This does not exist, or it belongs to another user.",
    noView: "The console has no such page.",
    conflict: "The request is not possible now.",
    invalid: "The request was not accepted.",
    busy: "The API has too many requests at the moment.",
    unavailable: "The API does not respond at the moment.",
    unexpected: "The console cannot process the response of the API.",
    since: "Since",
    stillWorks: "What still works",
    /** @type {Record<string, string>} */
    works: {
      network: "Runs continue without this page.",
      busy: "Runs are not affected.",
      unavailable: "No data is lost: saved and staged content stays, and runs repeat a step that fails.",
    },
    step: "Next step",
    staysSo: "If it stays so:",
    /** @type {Record<string, string>} */
    next: {
      network: "Check your network. The console tries again automatically.",
      token: "Sign in again.",
      forbidden: "Ask an operator to do it, or for the role.",
      missing: "Check the address, or look for it in the list.",
      busy: "The console tries again automatically.",
      unavailable: "The console tries again automatically.",
      unexpected: "Reload the page. The API may be older than the console.",
    },
    /** @param {string} age */
    stale: (age) => `Shown as of ${age}.`,
  },
  /** @type {Record<string, string>} */
  conflicts: {
    AtWorkElsewhere: "The product's own workers are processing this task, or another one of its roadmap. You can wait, or take it over.",
    NotAtContentStage: "This task has not reached the content stage yet. The product's own resume continues it.",
    ClaimRefused: "An attempt is already running. Wait until it has ended.",
    NotRedrivable: "The last run cannot be redriven. Use Retry instead: it does the same work in a new run.",
    NotCancellable: "This task is already complete.",
    RestoreRefused: "This revision cannot become the current one: the database does not accept it, or its text does not exist any more.",
    ChangedSince: "The item has been changed since. Look at it again.",
  },

  /** @type {Record<string, string>} */
  status: {
    pending: "pending",
    processing: "in progress",
    completed: "complete",
    partial_failure: "incomplete",
    failed: "failed",
    cancelled: "cancelled",
    human_review_pending: "waits for review",
  },
  /** @type {Record<string, string>} */
  types: NAMES.en.one,
  /** @type {Record<string, string>} */
  typesMany: NAMES.en.many,
  /** @type {Record<string, string>} */
  typesShort: NAMES.en.letter,
  /** @type {Record<string, string>} */
  states: { F: "failed", M: "not generated", G: "generating", T: "staged", S: "saved" },
  /** @type {Record<string, string>} */
  stages: { generate: "while generating", save: "while saving", workflow: "while running" },
  /** The actions of the next attempt; the API's are English. @type {Record<string, string>} */
  actions: {},
  /** @param {string} count @param {string} type */
  ofType: (count, type) => `${count} ${type.toLowerCase()}`,
  byOperator: " An operator can do it.", // after a sentence
  /** Who acts next. @type {{ who: Record<string, string>, sign: string, why: Record<string, string>, other: string | null }} */
  turn: {
    who: { running: "Running", waiting: "Waiting", automatic: "Tried again automatically", person: "Needs a person", nobody: "Over" },
    sign: "last sign",
    why: {},
    other: null,
  },
  /** What a person does, by error code, in the place of the API's text. @type {Record<string, string>} */
  remedies: {},

  reasons: REASONS,
  /** @param {string} sentence @param {string} path */
  reasonAt: (sentence, path) => `${sentence.replace(/\.$/, "")}, at ${path}.`,
  reasonOriginal: "Recorded text",
  /** The names of filters. @type {Record<string, string>} */
  filters: {
    status: "status",
    error_code: "error code",
    content_type: "content type",
    user_id: "user",
    updated_after: "updated after",
    updated_before: "updated before",
    q: "search",
    group_id: "failure group",
    task_ids: "selected tasks",
    generator: "written by",
    model_id: "model",
    prompt_version: "prompt",
    generated_after: "generated after",
    generated_before: "generated before",
    roadmap_id: "roadmap",
    all_missing: "all missing items",
  },
  origin: {
    heading: "Origin",
    none: "Unknown: it was saved before origins were recorded, or the product wrote the row itself.",
    generator: "Written by",
    /** @type {Record<string, string>} */
    generators: { product: "the product", offline: "the offline generator", bedrock: "Bedrock", function: "your function" },
    model: "Model",
    prompt: "Prompt",
    /** @param {string} input @param {string} output */
    tokens: (input, output) => `${input} in, ${output} out`,
    by: "Started by",
    restored: "Restored content",
    restoredBy: "Restored by",
    at: "Recorded",
  },
  revisions: {
    list: "Revisions",
    none: "It has no former content.",
    current: "current",
    replaced: "Replaced",
    /** The recorded reasons; one that is not listed is shown as it is. @type {Record<string, string>} */
    reasons: {},
    compare: "Compare with the current one",
    restore: "Restore…",
    /** @param {string} type */
    heading: (type) => `Two revisions of the ${type}`,
    left: "Before",
    right: "After",
    same: "Both have the same content.",
    differences: numberOf("changed line"),
    /** @param {number} count */
    showSame: (count) => `Show ${n(count, "unchanged line")}`,
    onlyChanged: "Only the changes",
    restoreHeading: "Restore this revision",
    restoreText: "It becomes the current content again, at once for every reader. The content that it replaces is kept as a revision. Nothing is generated.",
    nextVersion: "The tutorial gets its next version.",
    startRestore: "Restore",
    restored: "The revision is restored.",
    alreadyCurrent: "The item has this content already.",
  },
  undo: {
    open: "Undo…",
    proceed: "Continue the undo…",
    heading: "Undo this recovery",
    text: "Each item that this recovery replaced gets its former content back. An item that was changed since is left alone. Nothing is deleted, and nothing is generated.",
    start: "Undo the recovery",
    running: "Restoring…",
    report: "Undo",
    restored: "restored",
    notReplaced: "had not been replaced",
    leftAlone: "left alone",
    tasksLeft: "tasks still to do",
    /** @param {number} count */
    showLeftAlone: (count) => `Why ${n(count, "item was", "items were")} left alone`,
    /** @param {string} count */
    someOf: (count) => `${count} of them. The command \`roadmap undo\` lists all.`,
    /** @param {number} restored @param {number} left */
    ofTask: (restored, left) => `undone: ${restored} restored${left ? `, ${left} left alone` : ""}`,
  },
  content: {
    read: "Read",
    heading: "Content",
    staged: "Staged content",
    refused: "Refused content",
    gone: "The row exists, but its text does not.",
    large: "The text is too large to be shown here.",
    open: "Open it",
    right: "correct",
    /** @param {string} path @param {string} line */
    faultAt: (path, line) => `The fault is at ${path}, line ${line}.`,
    /** @type {Record<string, string>} */
    difficulties: { easy: "easy", medium: "medium", hard: "hard" },
    /** @type {Record<string, string>} */
    resourceTypes: { article: "article", video: "video", book: "book", course: "course", documentation: "documentation", tool: "tool" },
  },
  palette: {
    cause: "cause",
    open: "Go to…",
    heading: "Go to",
    help: "A view, a status, a task or a recovery",
    view: "view",
    action: "of this page",
    filter: "tasks",
    task: "task",
    recovery: "recovery",
    none: "Nothing has this name.",
  },

  tasksView: {
    search: "Search",
    searchHelp: "Beginning of an id or title",
    status: "Status",
    type: "Content type",
    code: "Error code",
    user: "User",
    within: { "": "any time", "1h": "last hour", "24h": "last 24 hours", "7d": "last 7 days" },
    groupOnly: "Only tasks of one failure group",
    clear: "Clear filter",
    filter: "Filter",
    roadmap: "Roadmap",
    progress: "Saved",
    /** @param {string} place */
    queued: (place) => `queued, place ${place}`,
    stopped: "queued; generation is stopped",
    /** @param {number} count @param {boolean} exact @param {string} text */
    found: (count, exact, text) => (exact ? (count === 1 ? "1 task" : `${text} tasks`) : `about ${text} tasks`),
    live: "Live",
    interrupted: "Interrupted",
    paused: "Paused",
    pause: "Pause updates",
    resume: "Resume updates",
    select: "Select",
    /** @param {string} title */
    selectOne: (title) => `Select ${title}`,
    selectPage: "Select all shown",
    /** @param {string} count */
    selected: (count) => `${count} selected`,
    /** @param {string} count */
    allMatching: (count) => `Heal all ${count} that match`,
    /** @param {string} count */
    heal: (count) => `Heal ${count} selected`,
    onlyMatching: "Heal the one that matches",
    unselect: "Unselect",
    empty: "There are no tasks yet. A task appears here when its roadmap reaches the content stage.",
    emptyOwner: "You have no tasks yet. A task appears here when a roadmap of yours is generated.",
    noMatch: "No task matches this filter.",
    neverRun: "not started",
    /** @param {string} saved @param {string} total */
    saved: (saved, total) => `${saved} of ${total} saved`,
    /** @param {string} saved @param {string} total */
    ofAll: (saved, total) => `${saved} of ${total}`,
    firstAttempt: "first attempt under way",
    untitled: "Untitled",
    /** @type {Record<string, string>} */
    elsewhere: { processing: "handled by the product", failed: "failed in the product" },
  },

  task: {
    /** @param {string} saved @param {string} total */
    saved: (saved, total) => `${saved} of ${total} items saved`,
    /** @param {string} count */
    retry: (count) => `Retry missing (${count})`,
    more: "More",
    id: "Task",
    erasedPill: "erased",
    /** @param {string} date */
    erased: (date) => `Erased on ${date}.`,
    erasing: "The user's data is being erased.",
    erasedText: "Nothing of this system is left about this task; the product's own rows stayed.",
    receipt: "Receipt",
    /** @param {string} count */
    erasedRows: (count) => `${count} rows removed`,
    start: "Start",
    /** @param {string} position @param {string | null} time */
    waits: (position, time) => `Waits in the queue, place ${position}${time ? `; starts in about ${time}` : ""}.`,
    stopped: "Generation is stopped; what is staged is kept. The attempt waits until an operator resumes it:",
    untouched: "This system has not changed this task yet.",
    startsHere: "Start generates and saves what is missing.",
    /** @param {string} by */
    cancelledBy: (by) => `Cancelled by ${by}`,
    earlier: numberOf("earlier attempt"),
    retryOne: "Retry this item",
    retryConcept: "Retry this concept",
    /** @param {string} type @param {string} count */
    retryType: (type, count) => `Retry ${type} (${count})`,
    regenerate: "Regenerate",
    redrive: "Redrive the last run",
    cancelTask: "Cancel task",
    finalize: "Correct the record",
    execution: "Open the execution",
    /** @param {number} missing */
    becomesOf: (missing) => `What happens to the ${n(missing, "missing item")}`,
    /** Missing items without a failure. @type {Record<string, string>} */
    without: { T: "Generated and paid for, not saved yet.", M: "Not generated yet.", G: "In the running attempt." },
    /** @type {Record<string, string>} */
    becomesNext: { T: "The next attempt saves it. It costs no tokens.", M: "The next attempt generates it.", G: "Its run is being stopped. The next attempt generates what it leaves." },
    /** @type {Record<string, string>} */
    becomesNow: { T: "This attempt saves it. It costs no tokens.", M: "This attempt generates it.", G: "This attempt generates and saves it." },
    show: "Show on the map",
    map: "Content",
    mapHelp: "Arrow keys move, Enter opens, N and Shift+N go to the next and the previous problem.",
    noProblems: "There is no further problem.",
    find: "Find a concept",
    findNext: "Next",
    /** @param {string} count */
    matches: (count) => `${count} found`,
    nothing: "This task has no content to show yet.",
    noRoadmap: "This task has not reached the content stage yet. It has no roadmap yet.",
    noConcept: "The roadmap has no concept with the id in this link.",
    /** @type {Record<string, string>} */
    steps: { claimed: "being planned", working: "generating and saving" },
    attempt: "Attempt",
    tokens: "Tokens",
    /** @param {string} used @param {string} budget */
    ofBudget: (used, budget) => `${used} of ${budget}`,
    updated: "Updated",
    created: "Created",
    attempts: "Attempts",
    noAttempts: "No attempt has been made yet.",
    /** @param {number} number */
    attemptNumber: (number) => `Attempt ${number}`,
    /** @type {Record<string, string>} */
    causes: {
      first_run: "first run",
      retry: "retry",
      checkpoint: "redrive",
      console_redrive: "redrive in Step Functions",
      automatic: "automatic retry",
      recovery: "recovery",
    },
    /** @type {Record<string, string>} */
    outcomes: { completed: "complete", partial_failure: "incomplete", failed: "failed", cancelled: "cancelled", superseded: "superseded" },
    planned: "planned",
    ofAttempts: "Items by attempt",
    savedCount: "saved",
    failedCount: "failed",
    temporary: "temporary failures",
    /** @param {string} count */
    notStarted: (count) => `${count} not started: the attempt was cancelled`,
    generated: "generated",
    redriven: "redriven",
    vanished: "This task does not exist any more, or it belongs to another user.",
    allTasks: "All tasks",
  },

  item: {
    staged: "Staged",
    rejected: "Rejected content",
    saved: "Saved",
    version: "version",
    history: "Failures by attempt",
    /** @param {string} size @param {string} age */
    stagedText: (size, age) => `${size}, stored ${age}`,
    nothingStaged: "Nothing is staged.",
    temporary: "temporary",
    permanent: "permanent",
  },

  heal: {
    firstHeading: "Start this task",
    retryHeading: "Retry missing content",
    recoveryHeading: "Heal many tasks",
    redriveHeading: "Redrive the last run",
    cancelHeading: "Cancel this task",
    regenerateHeading: "Regenerate saved content",
    preview: "Preview",
    previewing: "Calculating the preview…",
    fromStaging: "to save from staging",
    toGenerate: "to generate",
    aboutTokens: "tokens, about",
    /** @param {number} count @returns {string} */
    aboutMinutes: (count) => (count === 1 ? "minute, about" : "minutes, about"),
    /** @param {number} count @returns {string} */
    tasksCount: (count) => (count === 1 ? "task" : "tasks"),
    free: "none",
    /** @type {Record<string, string>} */
    basis: {
      task: "Estimated from this task's own content.",
      roadmap: "Estimated from this roadmap's content.",
      settings: "Estimated from the configured average.",
      none: "No estimate is possible.",
    },
    refused: "These tasks would be refused:",
    reason: "Reason",
    reasonHelp: "It is kept in the audit trail.",
    reasonNeeded: "Give a reason: it is kept in the audit trail.",
    startRetry: "Start the retry",
    startRecovery: "Start the recovery",
    startRedrive: "Redrive",
    startCancel: "Cancel the task",
    keep: "Keep it running",
    takeOver: "Take it over",
    nothingMissing: "Nothing is missing. The retry only corrects the task's record.",
    nothingToDo: "No task matches any more.",
    price: "Tokens, about",
    /** @param {string} items */
    allMissing: (items) => `Also retry what these tasks miss for other causes: ${items}`,
    redriveText: "The same execution continues, with its history. The work is that of a retry.",
    cancelText:
      "The run is stopped and the task is marked as cancelled. Staged content is kept, and a retry can continue later.",
    regenerateText: "The saved content is replaced by newly generated content. This costs tokens.",
    instruction: "Change (optional)",
    instructionHelp: "How the present content is to be changed, in your words. The former one can be restored.",
    rate_per_minute: "Tasks per minute",
    concurrency: "At the same time",
    canary: "Canary tasks",
    breaker: "Breaker",
    token_budget: "Token budget",
    /** @type {Record<string, string>} */
    help: {
      canary: "These tasks are retried first. If most of them fail, the recovery stops. 0: no canary.",
      breaker: "The recovery pauses if more than half of this number of last tasks fail, or half for the same cause. 0: no breaker.",
      token_budget: "The recovery stops at this number of tokens. Empty: no additional limit.",
    },
    started: "The retry has started.",
    redriven: "The run continues.",
    cancelled: "The task is cancelled.",
    corrected: "Nothing was missing; the task's record is correct now.",
    scopeTasks: numberOf("selected task"),
    scopeFilter: "All tasks that match the filter",
    scopeGroup: "All tasks of this failure group",
  },

  failures: {
    intro: "Current failures, grouped by cause.",
    introOperator: "Current failures, grouped by cause. You can heal a whole group.",
    empty: "There are no failures. The latest attempt of every task saved all planned items, or no attempt has run yet.",
    noMatch: "No failure matches this filter.",
    /** @param {number} items @param {string} tasks @returns {string} */
    counts: (items, tasks) => `${items === 1 ? "item" : "items"} in ${tasks}`,
    first: "First seen",
    last: "Last seen",
    /** @param {number} hours */
    overTime: (hours) => (hours === 1 ? "Failed items per hour" : `Failed items per ${hours} hours`),
    still: "still missing",
    healed: "healed",
    period: "Period",
    /** @param {number} days */
    days: (days) => (days === 1 ? "24 hours" : `${days} days`),
    healedHeading: "Healed in this period",
    failedThen: "failed",
    /** @param {number} automatically @param {number} recovery @param {number} person */
    healedBy: (automatically, recovery, person) =>
      [
        automatically && `${n(automatically, "item")} automatically`,
        recovery && `${n(recovery, "item")} by a recovery`,
        person && `${n(person, "item")} by a person's retry`,
      ].filter(Boolean).join(" · ") || "Not by an attempt: the product changed the content or removed the tasks, or other reasons came after it.",
    example: "Example",
    showTasks: "Show the tasks",
    heal: "Heal this group",
    /** @type {Record<string, string>} */
    states: { new: "new", regressed: "came back", acknowledged: "acknowledged", ignored: "ignored", resolved: "resolved" },
    allStates: "All states",
    ringing: "Without a decision",
    history: "History",
    noHistory: "Nobody has decided about this group yet.",
    decide: "Decide…",
    decideHeading: "Decide about this group",
    decision: "Decision",
    /** @type {Record<string, string>} */
    decisions: {
      acknowledged: "Acknowledge: being worked on",
      ignored: "Ignore: count it, but stay silent",
      resolved: "Resolve: its cause is removed",
      new: "Reopen: it has no decision",
    },
    decideHelp: "A resolved group whose failures come back needs a new decision. An acknowledged one is resolved when its last failure is gone.",
    untilTasks: "Until this number of tasks",
    untilTasksHelp: "Empty: without a limit.",
    save: "Save",
    /** @param {string} tasks */
    until: (tasks) => `until ${tasks}`,
  },

  recoveries: {
    intro: "Bulk retries of many tasks, at a limited rate.",
    empty: "There has been no recovery yet.",
    startOne: "Start one from Tasks (select, then Heal) or from a failure group.",
    notAllowed: "Only operators and viewers can see recoveries.",
    /** @type {Record<string, string>} */
    states: {
      waiting: "waiting",
      canary: "canary",
      running: "running",
      paused: "paused",
      stopped_by_canary: "stopped by the canary",
      paused_by_breaker: "paused by the breaker",
      stopped_by_budget: "stopped by the budget",
      cancelled: "cancelled",
      completed: "ended",
    },
    /** @type {Record<string, string>} */
    results: { recovered: "recovered", still_failing: "still failing", refused: "refused", running: "running", waiting: "waiting" },
    /** @param {string} done @param {string} total */
    progress: (done, total) => `${done} of ${total} ${total === "1" ? "task" : "tasks"} ended`,
    /** @param {string} actual @param {string} limit */
    rate: (actual, limit) => `${actual} of ${limit} tasks per minute`,
    rateLabel: "Rate",
    canary: "Canary",
    noCanary: "no canary",
    breaker: "Breaker",
    /** @param {number} tasks */
    breakerOf: (tasks) => `looks at the last ${n(tasks, "task")}`,
    noBreaker: "no breaker",
    limits: "Limits",
    /** @param {string} count */
    concurrency: (count) => `${count} at the same time`,
    filter: "Filter",
    started: "Started",
    ended: "Ended",
    remaining: "Remaining, about",
    tooEarly: "unknown until five tasks have ended",
    /** @param {string} least @param {string} most */
    between: (least, most) => `${least} to ${most}`,
    endedOverTime: "Ended tasks",
    pause: "Pause",
    resume: "Resume",
    cancel: "Cancel recovery",
    cancelText: "Waiting tasks are not retried. Running tasks continue to their end.",
    tasks: "Result of each task",
    noTasks: "No task has this result.",
    isCanary: "canary",
    regenerates: "regenerates saved items",
    vanished: "This recovery does not exist, or you have no access to it.",
    all: "All recoveries",
    stopReason: "Reason for the stop",
    /** A sentence in the place of the recorded reason. @type {(reason: string) => string | null} */
    stopText: (reason) => `${/^.* in the same failure group(?= \w+: )/.exec(reason)?.[0] ?? reason}.`,
  },

  health: {
    /** @param {string} labels */
    zeros: (labels) => `None: ${labels}`,
    stillWorks: "Running items end, staged content is saved, retries and recoveries wait.",
    resume: "Resume generation",
    resumeText: "Waiting attempts start in the order of the queue.",
    ok: "All is well.",
    attention: "Something needs attention.",
    /** @type {Record<string, string>} */
    what: {
      recoveries_paused: "A recovery waits for a person.",
      sweep_held: "The sweep changes nothing.",
      stuck_tasks: "Stuck tasks.",
      failure_groups: "Causes without a decision.",
      generation_stopped: "Generation is stopped.",
      time_zone: "Time zone.",
      database_unavailable: "A role of the database fails.",
      database: "The database differs from what was installed.",
      queue_halted: "The queue stands still.",
      sweep_overdue: "The sweep is overdue.",
      sweep_refused: "The sweep could not correct all tasks.",
      outbox: "Events are late.",
      outbox_aside: "Events were set aside.",
      erasures_unfinished: "An erasure is unfinished.",
    },
    /** Sentences in the place of the API's. @type {Record<string, (health: import("./types").Health) => string>} */
    sentences: {},
    groups: "Causes without a decision",
    queue: "Attempts in the queue",
    /** @param {string} age */
    oldest: (age) => `The oldest joined ${age}.`,
    atWork: "Attempts at work",
    held: "Attempts held by the stop",
    automatic: "Tasks tried again automatically",
    /** @param {string} when */
    automaticNext: (when) => `The first at ${when}.`,
    /** @param {string} slots */
    slots: (slots) => `Slots for batches: ${slots}.`,
    lastDay: "The last 24 hours",
    itemsByHour: "Items per hour",
    tokensByHour: "Tokens per hour",
    waitingByHour: "Waiting attempts, most at once",
    atWorkByHour: "Attempts at work, most at once",
    stuck: "Stuck tasks",
    stuckHelp: "Without a sign for half an hour.",
    drifted: "Drifted tasks",
    driftedHelp: "The record differs from the tables; the sweep corrects it.",
    outbox: "Events to deliver",
    outboxHelp: "The sweep delivers waiting events.",
    sweep: "Last sweep",
    noSweep: "never",
    /** @param {string} checked @param {string} repaired @param {string} refused */
    sweepText: (checked, repaired, refused) => `${checked} checked, ${repaired} repaired, ${refused} refused`,
    unfinished: "there was no time for all tasks; the next sweep continues",
    spent: "Tokens spent, 24 h",
    recoveries: "Recoveries running",
    tasksByStatus: "Tasks by status",
    release: "Release",
    schema: "Schema",
    runbook: "Runbook",
    runbookContents: "Contents",
    runbookLanguage: "", // the runbook is in the page's language
    notAllowed: "Only operators and viewers can see the system's health.",
  },
};
