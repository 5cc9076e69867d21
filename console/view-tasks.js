// All tasks that the caller may see: filter, progress, reason, age; select and heal.

import { useEffect, useRef, useState } from "./vendor/hooks.js";
import { get } from "./api.js";
import { RecoveryDialog } from "./heal.js";
import { html } from "./html.js";
import { T, moment, number } from "./language.js";
import { useLive, usePages } from "./live.js";
import { Age, Empty, ErrorNote, Id, Link, Loading, Pill, Progress, ReasonLine, Text, totals, useTitle, whyOf } from "./parts.js";
import { change, href } from "./router.js";

/** @typedef {import("./types").TaskRow} TaskRow */
/** @typedef {import("./types").TaskPage} TaskPage */
/** @typedef {import("./app.js").Session} Session */

const STATUSES = ["failed", "partial_failure", "processing", "pending", "cancelled", "completed"];
const PAGE = 50;

const HOURS = /** @type {Record<string, number>} */ ({ "1h": 1, "24h": 24, "7d": 168 });

/** The filter in the address, as parameters of the API. @param {URLSearchParams} query */
export function filterOf(query) {
  const within = HOURS[query.get("within") ?? ""];
  /** @type {import("./types").RecoveryFilter} */
  const filter = {};
  const status = query.getAll("status");
  if (status.length) filter.status = status;
  for (const name of /** @type {const} */ (["error_code", "content_type", "user_id", "q", "group_id"])) {
    const value = query.get(name);
    if (value) filter[name] = /** @type {any} */ (value);
  }
  // Rounded to minutes, so that the same filter is the same request for some time.
  if (within) filter.updated_after = new Date(Math.floor(Date.now() / 60_000) * 60_000 - within * 3_600_000).toISOString();
  return filter;
}

/**
 * The next page with a row: a page may be empty although the list continues.
 * @param {import("./types").RecoveryFilter} filter @param {string | null} cursor @param {AbortSignal} [signal]
 * @returns {Promise<TaskPage>}
 */
async function readPage(filter, cursor, signal) {
  for (;;) {
    const page = /** @type {TaskPage} */ (await get(["tasks"], { ...filter, limit: PAGE, cursor }, signal));
    if (page.items.length || page.next_cursor === null) return page;
    cursor = page.next_cursor;
  }
}

const MOST_LIVE = 8;

/**
 * The first page, with the present state of the tasks at work: the list has only what was recorded at their last outcome.
 * @param {import("./types").RecoveryFilter} filter @param {Session} session @param {AbortSignal} signal
 * @returns {Promise<TaskPage & { live: Map<string, import("./types").TaskDetail> }>}
 */
async function readFirst(filter, session, signal) {
  const page = await readPage(filter, null, signal);
  const atWork = page.items.filter((task) => task.attempt > 0 && task.status === "processing").slice(0, MOST_LIVE);
  const details = await Promise.all(atWork.map((task) => get(["tasks", task.task_id], session.scope(), signal).catch(() => null)));
  /** @type {Map<string, import("./types").TaskDetail>} */
  const live = new Map(details.filter(Boolean).map((task) => [task.task_id, task]));
  const items = page.items.map((task) => {
    const { status, turn } = live.get(task.task_id) ?? task;
    return { ...task, status, turn, top_reason: status === "completed" ? null : task.top_reason };
  });
  return { ...page, items, live };
}

/** Whether a recovery accepts it: something is missing, and nothing is at work. @param {TaskRow} task */
const isHealable = (task) => !task.erased && task.status !== "completed" && task.status !== "processing";

/** @param {{ query: URLSearchParams, session: Session }} props */
export function TasksView({ query, session }) {
  const filter = filterOf(query);
  const key = JSON.stringify({ ...filter, updated_after: query.get("within") });
  const [live, setLive] = useState(true);
  const [chosen, setChosen] = useState(/** @type {ReadonlySet<string>} */ (new Set()));
  const [healing, setHealing] = useState(/** @type {"chosen" | "all" | null} */ (null));
  useTitle(T.sections.tasks);
  useEffect(() => setChosen(new Set()), [key]);

  const { data, error, at, refresh } = useLive(
    `tasks ${key}`,
    (signal) => readFirst(filter, session, signal),
    (page) => (live ? (page?.items.some((task) => task.status === "processing") ? 3000 : 10_000) : null),
  );
  const { rows, more } = usePages(key, data, (cursor) => readPage(filter, cursor), refresh);

  const filtered = Object.keys(filter).length > 0;
  const total = data ? number(data.total) : "";
  /** @param {string} id */
  const toggle = (id) => {
    const next = new Set(chosen);
    if (!next.delete(id)) next.add(id);
    setChosen(next);
  };

  return html`
    <div class="head">
      <h1 tabindex="-1">${T.sections.tasks}</h1>
      ${data && html`<span class="meta" role="status">${T.tasksView.found(data.total, data.total_is_exact, total)}</span>`}
      ${
        session.operates &&
        filtered &&
        (data?.next_cursor || data?.items.some(isHealable)) &&
        html`<button type="button" onClick=${() => setHealing("all")}>
          ${data.total === 1 ? T.tasksView.onlyMatching : T.tasksView.allMatching(data.total_is_exact ? total : `≈ ${total}`)}
        </button>`
      }
      <span class="spring"></span>
      <button
        type="button"
        class="quiet"
        aria-pressed=${!live}
        onClick=${() => {
          setLive(!live);
          refresh();
        }}
      >
        <span class="pulse ${live && !error ? "on" : ""}"></span>${live ? (error ? T.tasksView.interrupted : T.tasksView.live) : T.tasksView.paused}
        <span class="visually-hidden">${T.colon}${live ? T.tasksView.pause : T.tasksView.resume}</span>
      </button>
    </div>
    ${(data ? filtered || data.total > 0 : !error) && html`<${FilterBar} query=${query} session=${session} filtered=${filtered} />`}
    ${error && html`<${ErrorNote} error=${error} at=${at} retry=${refresh} />`}
    ${!data && !error && html`<${Loading} like="list" />`}
    ${
      data &&
      rows.length === 0 &&
      (filtered
        ? html`<${Empty}>${T.tasksView.noMatch}<//>`
        : html`<${Empty}>${session.sees ? T.tasksView.empty : T.tasksView.emptyOwner}${session.operates && html`<pre>roadmap load BUNDLE.json${"\n"}roadmap run TASK_ID</pre>`}<//>`)
    }
    ${
      session.operates &&
      chosen.size > 0 &&
      html`<div class="bulk" role="group" aria-label=${T.tasksView.select}>
        <span role="status">${T.tasksView.selected(number(chosen.size))}</span>
        <button type="button" class="primary" onClick=${() => setHealing("chosen")}>${T.tasksView.heal(number(chosen.size))}</button>
        <button type="button" class="quiet" onClick=${() => setChosen(new Set())}>${T.tasksView.unselect}</button>
      </div>`
    }
    ${
      rows.length > 0 &&
      html`<${TaskList} rows=${rows} live=${data?.live} users=${session.sees} chosen=${session.operates ? chosen : null} toggle=${toggle} choose=${setChosen} />`
    }
    ${more}
    ${
      healing &&
      html`<${RecoveryDialog}
        filter=${healing === "all" ? filter : { task_ids: [...chosen] }}
        scope=${healing === "all" ? (filter.group_id ? T.heal.scopeGroup : T.heal.scopeFilter) : T.heal.scopeTasks(chosen.size)}
        onClose=${() => setHealing(null)}
      />`
    }
  `;
}

/**
 * The value is set only when the address changes: a list that arrives must not remove what is being typed.
 * @param {{ value: string, onChange: (event: Event) => void }} props
 */
function SearchField({ value, onChange }) {
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => {
    if (input.current) input.current.value = value;
  }, [value]);
  return html`<input ref=${input} type="search" placeholder=${T.tasksView.searchHelp} maxlength="100" onChange=${onChange} />`;
}

/** The filters that are shown on demand. */
const FURTHER = ["content_type", "error_code", "user_id", "within"];

/** @param {{ query: URLSearchParams, session: Session, filtered: boolean }} props */
function FilterBar({ query, session, filtered }) {
  const chosen = query.getAll("status");
  /** @param {string} name */
  const set = (name) => (/** @type {any} */ event) => change({ [name]: event.currentTarget.value.trim() });
  const group = query.get("group_id");
  const [open, setOpen] = useState(FURTHER.some((name) => query.get(name)));
  return html`
    <form class="filters ${open ? "open" : ""}" role="search" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
      <label class="field search">
        <span class="visually-hidden">${T.tasksView.search}</span>
        <${SearchField} value=${query.get("q") ?? ""} onChange=${set("q")} />
      </label>
      <button type="button" class="toggle" aria-expanded=${open} onClick=${() => setOpen(!open)}>${T.tasksView.filter}</button>
      <fieldset class="chips">
        <legend class="visually-hidden">${T.tasksView.status}</legend>
        ${STATUSES.map(
          (status) => html`<label key=${status} class="chip ${chosen.includes(status) ? "on" : ""}">
            <input
              class="visually-hidden"
              type="checkbox"
              checked=${chosen.includes(status)}
              onChange=${() =>
                change({
                  status: chosen.includes(status) ? chosen.filter((each) => each !== status) : [...chosen, status],
                })}
            />
            ${T.status[status]}
          </label>`,
        )}
      </fieldset>
      <label class="field extra">
        <span>${T.tasksView.type}</span>
        <select value=${query.get("content_type") ?? ""} onChange=${set("content_type")}>
          <option value="">${T.all}</option>
          ${Object.entries(T.typesMany).map(([type, text]) => html`<option key=${type} value=${type}>${text}</option>`)}
        </select>
      </label>
      <label class="field extra">
        <span>${T.tasksView.code}</span>
        <input type="text" list="codes" maxlength="100" value=${query.get("error_code") ?? ""} onChange=${set("error_code")} />
        <datalist id="codes">${Object.entries(T.reasons)
          .filter(([code]) => code.length > 5 && !code.endsWith("."))
          .map(([code, text]) => html`<option key=${code} value=${code}>${text}</option>`)}</datalist>
      </label>
      ${
        session.sees &&
        html`<label class="field extra">
          <span>${T.tasksView.user}</span>
          <input type="text" maxlength="200" value=${query.get("user_id") ?? ""} onChange=${set("user_id")} />
        </label>`
      }
      <label class="field extra">
        <span>${T.task.updated}</span>
        <select value=${query.get("within") ?? ""} onChange=${set("within")}>
          ${Object.entries(T.tasksView.within).map(([value, text]) => html`<option key=${value} value=${value}>${text}</option>`)}
        </select>
      </label>
      ${group && html`<p class="meta group-only">${T.tasksView.groupOnly} <button type="button" class="quiet" onClick=${() => change({ group_id: null })}>✕<span class="visually-hidden">${T.tasksView.clear}</span></button></p>`}
      ${filtered && html`<p class="clear"><${Link} to=${href(["tasks"])}>${T.tasksView.clear}<//></p>`}
    </form>
  `;
}

/**
 * @param {{
 *   rows: TaskRow[], live: Map<string, import("./types").TaskDetail> | undefined, users: boolean,
 *   chosen: ReadonlySet<string> | null, toggle: (id: string) => void, choose: (ids: Set<string>) => void,
 * }} props
 */
function TaskList({ rows, live, users, chosen, toggle, choose }) {
  const eligible = rows.filter(isHealable);
  const every = chosen !== null && chosen.size > 0 && eligible.every((task) => chosen.has(task.task_id));
  return html`
    <div class="tasks-head">
      ${
        chosen &&
        html`<label class="check" title=${T.tasksView.selectPage}>
          <input type="checkbox" disabled=${!eligible.length} aria-label=${T.tasksView.selectPage} checked=${every} onChange=${() => choose(every ? new Set() : new Set(eligible.map((task) => task.task_id)))} />
          <span class="narrow-only" aria-hidden="true">${T.tasksView.selectPage}</span>
        </label>`
      }
      <div class="task-card meta" aria-hidden="true">
        <span class="title">${T.tasksView.roadmap}</span><span class="state">${T.tasksView.status}</span><span class="progress">${T.tasksView.progress}</span>
        <span class="reason">${T.heal.reason}</span>${users && html`<span class="user">${T.tasksView.user}</span>`}<span class="time">${T.task.updated}</span>
      </div>
    </div>
    <ul class="tasks" tabindex="-1">
      ${rows.map((task) => {
        const title = task.title || T.tasksView.untitled;
        return html`<li key=${task.task_id} class="task">
          ${
            chosen &&
            html`<label class="check">
              <input type="checkbox" disabled=${!isHealable(task)} aria-label=${T.tasksView.selectOne(title.slice(0, 200))} checked=${chosen.has(task.task_id)} onChange=${() => toggle(task.task_id)} />
            </label>`
          }
          <div class="task-card">
            <${Link} to=${href(["tasks", task.task_id])} class="title"><${Text} value=${title} /><//>
            <span class="state">${task.erased ? html`<span class="pill calm">${T.task.erasedPill}</span>` : html`<${Pill} value=${task.status} />`}</span>
            <span class="time meta"><${Age} at=${task.updated_at ?? task.created_at} /></span>
            <div class="progress"><${RowProgress} task=${task} detail=${live?.get(task.task_id)} /></div>
            <div class="reason">
              ${task.turn.who === "person" && html`<span class="needs" title=${T.turn.who.person}>▲ <span>${T.turn.who.person}</span></span>`}
              ${task.turn.who === "automatic" && task.turn.at && html`<span class="heals">${T.turn.who.automatic} <time datetime=${task.turn.at}>${moment(task.turn.at)}</time></span>`}
              ${task.top_reason ? html`<${ReasonLine} code=${task.top_reason.error_code} reason=${task.top_reason.reason} />` : task.status !== "completed" && html`<span class="clamp calm">${whyOf(task.turn.why)}</span>`}
            </div>
            <p class="ids meta"><${Id} value=${task.task_id} /></p>
            ${users && html`<span class="user meta"><${Link} to=${href(["tasks"], { user_id: task.user_id })}><${Id} value=${task.user_id} /><//></span>`}
          </div>
        </li>`;
      })}
    </ul>
  `;
}

/** How much of a task is saved; of one at work now, of others at their last outcome. @param {{ task: TaskRow, detail: import("./types").TaskDetail | undefined }} props */
function RowProgress({ task, detail }) {
  if (detail?.queue) return html`<span class="meta">${detail.queue.stopped ? T.tasksView.stopped : T.tasksView.queued(number(detail.queue.position))}</span>`;
  if (detail) {
    const { saved, total } = totals(detail);
    if (total) return html`<${Progress} saved=${saved} failed=${0} missing=${total - saved} total=${total} />`;
  }
  if (task.erased) return "";
  if (task.progress) return html`<${Progress} ...${task.progress} />`;
  return html`<span class="meta">${task.attempt > 0 ? T.tasksView.firstAttempt : (T.tasksView.elsewhere[task.status] ?? T.tasksView.neverRun)}</span>`;
}
