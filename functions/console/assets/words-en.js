// English.

/** @param {number} count @param {string} one @param {string} [many] */
const n = (count, one, many = `${one}s`) => `${count.toLocaleString("en-GB")} ${count === 1 ? one : many}`;

export const en = {
  title: "Roadmap console",
  skip: "Skip to content",
  otherLanguage: "中文",
  sections: {
    tasks: "Tasks",
    failures: "Failures",
    recoveries: "Recoveries",
    health: "Health",
  },
  theme: { auto: "Theme: system", light: "Theme: light", dark: "Theme: dark" },
  /** @type {Record<string, string>} */
  roles: { owner: "owner", viewer: "viewer", operator: "operator" },
  /** @type {Record<string, string>} */
  actors: { user: "owner", operator: "operator", console: "AWS console", auto: "automatic", recovery: "recovery" },
  signOut: "Sign out",
  close: "Close",
  cancel: "Cancel",
  back: "Back",
  tryAgain: "Try again",
  loading: "Loading…",
  more: "Show more",
  unknown: "unknown",
  all: "all",
  none: "–",
  copy: "Copy",
  copied: "Copied",
  justNow: "just now",
  /** @param {number} s */
  seconds: (s) => `${s} s`,
  /** @param {number} m @param {number} s */
  minutes: (m, s) => (s ? `${m} min ${s} s` : `${m} min`),
  /** @param {number} h @param {number} m */
  hours: (h, m) => (m ? `${h} h ${m} min` : `${h} h`),
  /** @param {number} count */
  items: (count) => n(count, "item"),
  /** @param {number} count */
  tasks: (count) => n(count, "task"),
  /** @param {string} count */
  tokens: (count) => `${count} tokens`,

  signIn: {
    heading: "Sign in",
    expired: "Your sign-in has expired or is not accepted. Sign in again: you will return to this page.",
    failed: "The sign-in was not completed. Try again; if it fails again, tell whoever runs the issuer.",
    unreachable: "The sign-in page cannot be reached. Check your network and try again.",
    intro: "The console shows the tasks that your token lets you see.",
    withIssuer: "Sign in with your organisation",
    orPaste: "Or paste a token",
    paste: "Token",
    pasteHelp: "A JSON Web Token for this API. It stays in this tab and is never part of an address.",
    notAToken: "This is not a JSON Web Token: it has three parts, separated by dots.",
    submit: "Sign in",
    local: "On a local stack, `roadmap up` prints a link that is signed in.",
  },

  errors: {
    network: "The API cannot be reached. Your network may be down; the console tries again by itself.",
    token: "Your sign-in has expired or is not accepted.",
    forbidden: "Your role does not allow this. An operator can do it.",
    missing: "This does not exist, or it belongs to somebody else.",
    conflict: "The request cannot be done now.",
    invalid: "The request was not accepted.",
    busy: "The API has too many requests at the moment. The console tries again by itself.",
    unavailable: "The API does not answer at the moment. The console tries again by itself; nothing is lost.",
    unexpected: "The API gave an answer that the console does not understand. It may be older than the console.",
    /** @param {string} age */
    stale: (age) => `Shown as of ${age}.`,
  },
  /** @type {Record<string, string>} */
  conflicts: {
    AtWorkElsewhere: "The product's own workers are working on this task. You can wait, or take it over.",
    NotAtContentStage: "This task has not reached the content stage yet. The product's own resume continues it.",
    ClaimRefused: "An attempt is already running. Wait until it has ended.",
    AttemptRunning: "An attempt is already running. Wait until it has ended.",
    NotRedrivable: "The last run cannot be redriven. Use Retry instead: it does the same work in a new run.",
    ExecutionNotRedrivable: "The last run cannot be redriven. Use Retry instead: it does the same work in a new run.",
    AlreadyEnded: "This has already ended.",
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
  types: { tutorial: "tutorial", resources: "resources", quiz: "quiz" },
  /** @type {Record<string, string>} */
  typesMany: { tutorial: "Tutorials", resources: "Resources", quiz: "Quizzes" },
  /** @type {Record<string, string>} */
  typesShort: { tutorial: "T", resources: "R", quiz: "Q" },
  /** @type {Record<string, string>} */
  states: {
    F: "failed",
    R: "rejected",
    M: "missing",
    G: "generating",
    T: "staged",
    S: "saved",
  },
  /** @type {Record<string, string>} */
  statesHelp: {
    F: "Missing, with a recorded failure.",
    R: "The content was refused and moved aside; it will be generated again.",
    M: "Not there yet, without a recorded failure.",
    G: "An attempt is working on it.",
    T: "Generated and paid for; the next attempt saves it.",
    S: "In the content table.",
  },
  /** @type {Record<string, string>} */
  stages: { generate: "generating", save: "saving", workflow: "the run" },
  /** What the next attempt does. @type {Record<string, string>} */
  actions: {
    none: "Nothing: it is saved.",
    save: "The next attempt saves the staged content. It costs no tokens.",
    generate: "The next attempt generates it, unless it is staged.",
    replace_id: "The next attempt gives it a new id and saves the content that is staged. It costs no tokens.",
    next_version: "The next attempt saves it under the next free version. It costs no tokens.",
    reject_and_generate: "The next attempt moves the content to rejected/ and generates it again.",
    wait: "Wait: the cause is temporary, and the next attempt can succeed.",
    person: "A person is needed: the next attempt would fail in the same way.",
  },
  needsPerson: "Needs a person",
  healsItself: "Retry is enough",

  tasksView: {
    search: "Search",
    searchHelp: "Beginning of an id or title",
    status: "Status",
    type: "Content type",
    code: "Error code",
    user: "User",
    updated: "Updated",
    within: { "": "any time", "1h": "last hour", "24h": "last 24 hours", "7d": "last 7 days" },
    groupOnly: "Only tasks of one failure group",
    clear: "Clear filter",
    moreFilters: "More filters",
    fewerFilters: "Fewer filters",
    /** @param {number} count @param {boolean} exact @param {string} text */
    found: (count, exact, text) => (exact ? (count === 1 ? "1 task" : `${text} tasks`) : `more than ${text} tasks`),
    live: "Live",
    paused: "Paused",
    pause: "Pause updates",
    resume: "Resume updates",
    columns: { status: "Status", task: "Task", progress: "Progress", reason: "Top reason", age: "Updated" },
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
    unselect: "Unselect",
    empty: "There are no tasks yet. A task appears here when its roadmap reaches the content stage.",
    emptyOwner: "You have no tasks yet. A task appears here when a roadmap of yours is generated.",
    noMatch: "No task matches this filter.",
    neverRun: "not started",
    /** @param {string} saved @param {string} total */
    saved: (saved, total) => `${saved} of ${total} saved`,
    untitled: "Untitled",
    notOurs: "the product's",
    notOursHelp: "The product works on this task itself; nothing here has touched it yet.",
  },

  task: {
    /** @param {string} saved @param {string} total */
    saved: (saved, total) => `${saved} of ${total} items saved`,
    live: "Running",
    /** @param {string} count */
    retry: (count) => `Retry missing (${count})`,
    retryOne: "Retry this item",
    retryConcept: "Retry this concept",
    /** @param {string} type @param {string} count */
    retryType: (type, count) => `Retry ${type} (${count})`,
    regenerate: "Generate again",
    redrive: "Redrive the last run",
    cancelTask: "Cancel task",
    finalize: "Correct the record",
    execution: "Open the execution",
    more: "More actions",
    reasons: "Reasons",
    /** @param {string} count */
    problems: (count) => `Why ${count} are missing`,
    show: "Show on the map",
    showAll: "Show all",
    onlyThis: "The map shows only this reason.",
    map: "Content",
    mapHelp: "Arrow keys move, Enter opens, N and Shift+N go to the next and the previous problem.",
    noProblems: "No problem to go to.",
    find: "Find a concept",
    findNext: "Next",
    /** @param {string} count */
    matches: (count) => `${count} found`,
    nothing: "This task has no content to show yet.",
    noRoadmap: "This task has not reached the content stage yet. It has no roadmap to draw.",
    step: "Step",
    attempt: "Attempt",
    tokens: "Tokens",
    /** @param {string} used @param {string} budget */
    ofBudget: (used, budget) => `${used} of ${budget}`,
    updated: "Updated",
    created: "Created",
    user: "User",
    roadmap: "Roadmap",
    message: "Message",
    attempts: "Attempts",
    noAttempts: "No attempt has been made yet.",
    /** @param {number} number */
    attemptNumber: (number) => `Attempt ${number}`,
    /** @type {Record<string, string>} */
    causes: {
      first_run: "first run",
      retry: "retry",
      checkpoint: "redrive",
      console_redrive: "redrive in the AWS console",
      automatic: "automatic retry",
      recovery: "recovery",
      adopted: "adopted",
    },
    /** @type {Record<string, string>} */
    outcomes: {
      completed: "complete",
      partial_failure: "incomplete",
      failed: "failed",
      cancelled: "cancelled",
      superseded: "superseded",
    },
    running: "running",
    planned: "planned",
    savedCount: "saved",
    failedCount: "failed",
    generated: "generated",
    redriven: "redriven",
    vanished: "This task does not exist any more, or it belongs to somebody else.",
    allTasks: "All tasks",
    complete: "Everything is saved.",
  },

  item: {
    heading: "Item",
    why: "Reason",
    next: "Next attempt",
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
    module: "Module",
  },

  heal: {
    retryHeading: "Retry missing content",
    recoveryHeading: "Heal many tasks",
    redriveHeading: "Redrive the last run",
    cancelHeading: "Cancel this task",
    regenerateHeading: "Generate saved content again",
    preview: "Preview",
    previewing: "Counting what would happen…",
    fromStaging: "saved from staging",
    toGenerate: "generated",
    aboutTokens: "tokens, about",
    aboutMinutes: "minutes, about",
    tasksCount: "tasks",
    noEstimate: "unknown",
    free: "none",
    /** @type {Record<string, string>} */
    basis: {
      task: "estimated from this task's own content",
      roadmap: "estimated from this roadmap's content",
      settings: "estimated from the configured average",
      none: "no estimate is possible",
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
    redriveText: "The last execution continues from the state that failed. It plans what is missing and runs only that.",
    cancelText:
      "The run is stopped and the task is marked as cancelled. Content that is staged stays staged; a retry continues later.",
    regenerateText: "The saved content is replaced by newly generated content. This costs tokens.",
    rate: "Tasks per minute",
    concurrency: "At the same time",
    canary: "Canary tasks",
    canaryHelp: "Retried first. If they fail again for the same reasons, the recovery stops. 0: no canary.",
    budget: "Token budget",
    budgetHelp: "The recovery stops at this many tokens. Empty: no limit of its own.",
    started: "The retry has started.",
    redriven: "The run continues.",
    cancelled: "The task is cancelled.",
    corrected: "Nothing was missing; the task's record is correct now.",
    /** @param {string} count */
    scopeTasks: (count) => `${count} selected tasks`,
    scopeFilter: "All tasks that match the filter",
    scopeGroup: "All tasks of this failure group",
  },

  failures: {
    intro: "Current failures, grouped by cause. A group is healed as a whole.",
    empty: "Nothing fails. Every task's latest attempt has saved what it planned, or none has run yet.",
    noMatch: "No failure matches this filter.",
    /** @param {string} tasks */
    counts: (tasks) => `items in ${tasks}`,
    first: "First seen",
    last: "Last seen",
    overTime: "Over time",
    /** @param {string} count @param {string} hour */
    inHour: (count, hour) => `${count} at ${hour}`,
    example: "Example",
    showTasks: "Show the tasks",
    heal: "Heal this group",
    code: "Code",
  },

  recoveries: {
    intro: "Bulk retries of many tasks, at a limited rate.",
    empty: "There has been no recovery yet. Start one from Tasks (select, then Heal) or from a failure group.",
    notAllowed: "Only operators and viewers see recoveries.",
    /** @type {Record<string, string>} */
    states: {
      waiting: "waiting",
      canary: "canary",
      running: "running",
      paused: "paused",
      stopped_by_canary: "stopped by the canary",
      stopped_by_budget: "stopped by the budget",
      cancelled: "cancelled",
      completed: "ended",
    },
    /** @type {Record<string, string>} */
    results: {
      recovered: "recovered",
      still_failing: "still failing",
      refused: "refused",
      running: "running",
      waiting: "waiting",
    },
    /** @param {string} done @param {string} total */
    progress: (done, total) => `${done} of ${total} tasks done`,
    /** @param {string} actual @param {string} limit */
    rate: (actual, limit) => `${actual} of ${limit} tasks per minute`,
    rateLabel: "Rate",
    canary: "Canary",
    /** @param {string} done @param {string} size */
    canaryText: (done, size) => `${done} of ${size} done`,
    noCanary: "no canary",
    limits: "Limits",
    concurrency: "at the same time",
    tokens: "Tokens",
    by: "Started by",
    filter: "Filter",
    started: "Started",
    ended: "Ended",
    remaining: "Remaining, about",
    reason: "Reason",
    pause: "Pause",
    resume: "Resume",
    cancel: "Cancel recovery",
    cancelText: "Tasks that wait are not retried. Tasks that run are finished.",
    tasks: "What became of each task",
    allResults: "all",
    noTasks: "No task has this result.",
    isCanary: "canary",
    vanished: "This recovery does not exist, or you may not see it.",
    all: "All recoveries",
    stopReason: "Why it stopped",
  },

  health: {
    ok: "All is well.",
    attention: "Something needs attention.",
    stuck: "Stuck tasks",
    stuckHelp: "An attempt is recorded, and no run is working on it.",
    drifted: "Drifted tasks",
    driftedHelp: "The record differs from the tables; the sweep corrects it.",
    deadLetters: "Dead letters",
    deadLettersHelp: "Events that no function accepted.",
    outbox: "Events to deliver",
    outboxHelp: "The sweep delivers those that wait.",
    sweep: "Last sweep",
    noSweep: "never",
    /** @param {string} checked @param {string} repaired @param {string} finished @param {string} refused */
    sweepText: (checked, repaired, finished, refused) =>
      `${checked} checked, ${repaired} repaired, ${finished} finished, ${refused} refused`,
    spent: "Tokens spent, 24 h",
    savedByStaging: "Tokens saved by staging, 24 h",
    recoveries: "Recoveries running",
    tasksByStatus: "Tasks by status",
    release: "Release",
    schema: "Schema",
    runbook: "Runbook",
    notAllowed: "Only operators and viewers see the system's health.",
  },
};
