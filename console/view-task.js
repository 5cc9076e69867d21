// One task: its progress, the reasons of missing items, the whole roadmap as a map, and its attempts.

import { useCallback, useMemo, useState } from "./vendor/hooks.js";
import { ApiError, get } from "./api.js";
import { TYPES } from "./content-types.js";
import { CancelDialog, RedriveDialog, RetryDialog } from "./heal.js";
import { html } from "./html.js";
import { T, duration, moment, number, percent } from "./language.js";
import { ofOneMoment, useLive } from "./live.js";
import { TYPE_COUNT, TaskMap } from "./map.js";
import { STATES } from "./marks.js";
import { safeLink } from "./markdown.js";
import { Actor, Age, Announce, Bar, Empty, ErrorNote, Id, Link, Loading, Mark, Next, OnDemand, Pill, ReasonLine, Remedy, Text, ofTypes, sum, totals, useTitle, useToast } from "./parts.js";
import { change, href } from "./router.js";

/** @typedef {import("./types").TaskDetail} Task */
/** @typedef {import("./types").ItemMap} ItemsPage */
/** @typedef {import("./types").AttemptRow} Attempt */
/** @typedef {import("./types").ReasonRow} ReasonRow */
/** @typedef {import("./app.js").Session} Session */
/** @typedef {{ outline: import("./map.js").Outline, states: string, reasons: ReasonRow[], reasonOf: Map<number, number> }} Items */

/** @template T @typedef {{ data: T | null, error: ApiError | null }} Part */
/** @typedef {{ task: Task, items?: Part<Items>, attempts?: Part<Attempt[]> }} Parts */

const CONCEPTS = 3000;

/** @param {{ id: string, query: URLSearchParams, session: Session }} props */
export function TaskView({ id, query, session }) {
  const [toast, setToast] = useToast();
  const [dialog, setDialog] = useState(/** @type {any} */ (null));
  const [changes, setChanges] = useState(0);

  const view = useLive(
    `task ${id}`,
    /** @type {(signal: AbortSignal, previous: Parts | null) => Promise<Parts>} */ ((signal, previous) => loadParts(id, session, signal, previous)),
    (parts) => (parts && !parts.attempts ? 0 : parts?.task.live || parts?.task.status === "processing" ? 1500 : 10_000),
  );
  const { refresh } = view;

  useTitle(view.data?.task.title?.slice(0, 100) || id.slice(0, 100));
  /** @param {string} message */
  const onDone = (message) => {
    setDialog(null);
    setToast(message);
    setChanges((before) => before + 1);
    refresh();
  };
  const close = () => setDialog(null);

  const openItem = query.get("item");
  const openType = TYPES.find((each) => each === query.get("type")) ?? "tutorial";
  const onOpen = useCallback(
    (/** @type {string} */ concept, /** @type {string} */ type) => change({ item: concept, type }, { replace: true }),
    [],
  );
  const onClose = useCallback(() => change({ item: null, type: null }, { replace: true }), []);

  if (!view.data) {
    return html`
      <p><${Link} to=${href(["tasks"])}>← ${T.task.allTasks}<//></p>
      <h1 tabindex="-1"><${Id} value=${id} /></h1>
      ${view.error ? html`<${ErrorNote} error=${view.error} at=${null} retry=${refresh} missing=${T.task.vanished} />` : html`<${Loading} like="one" />`}
    `;
  }

  const { task: found, items, attempts } = view.data;
  const name = { task_id: found.task_id, user_id: session.userFor(found.user_id) };
  const shown = items?.data ?? null;
  const chosen = query.get("reason");
  const chosenIndex = shown && chosen ? shown.reasons.findIndex((each) => reasonKey(each) === chosen) : -1;
  const reason = chosenIndex >= 0 ? chosenIndex : null;
  const acts = session.acts && !found.erased;
  const concept = shown?.outline.concepts.find((each) => each.id === openItem) ?? null;

  return html`
    <div class="task-page ${concept ? "with-drawer" : ""}">
      <div class="task-main">
        <p><${Link} to=${href(["tasks"])}>← ${T.task.allTasks}<//></p>
        ${view.error && html`<${ErrorNote} error=${view.error} at=${view.at} retry=${refresh} />`}
        <${Head}
          task=${found}
          items=${shown}
          acts=${acts}
          sees=${session.sees}
          onRetry=${(/** @type {any} */ part) =>
            setDialog(html`<${RetryDialog} task=${name} first=${isNew(found)} part=${part} what=${part && T.typesMany[part.content_type]} onClose=${close} onDone=${onDone} />`)}
          onRedrive=${() => setDialog(html`<${RedriveDialog} task=${name} onClose=${close} onDone=${onDone} />`)}
          onCancel=${() => setDialog(html`<${CancelDialog} task=${name} onClose=${close} onDone=${onDone} />`)}
        />
        ${openItem && shown && !concept && html`<p class="note">${T.task.noConcept}</p>`}
        <div class="columns">
          ${shown && !found.erased && html`<${Missing} task=${found} items=${shown} chosen=${reason} />`}
          ${
            !found.erased &&
            html`<${Attempts} waits=${isWaiting(found)} attempts=${attempts?.data ?? null} error=${attempts?.error ?? null} retry=${refresh} />`
          }
        </div>
        ${
          !shown &&
          (found.roadmap_id
            ? items?.error
              ? html`<${ErrorNote} error=${items.error} retry=${refresh} />`
              : html`<${Loading} />`
            : html`<${Empty}>${T.task.noRoadmap}<//>`)
        }
        ${
          shown &&
          (shown.outline.concepts.length === 0
            ? html`<${Empty}>${T.task.nothing}<//>`
            : html`
                <section aria-labelledby="map-heading">
                  <div class="head">
                    <h2 id="map-heading">${T.task.map}</h2>
                    ${shown.outline.concepts.length > 100 && html`<${FindConcept} outline=${shown.outline} onOpen=${onOpen} />`}
                  </div>
                  <p class="meta">${TYPES.map((type) => html`<span class="letter" key=${type}><strong>${T.typesShort[type]}</strong> ${T.typesMany[type]}</span>`)}<span class="keys" id="map-help">${T.task.mapHelp}</span></p>
                  <${TaskMap} outline=${shown.outline} states=${shown.states} reasonOf=${shown.reasonOf} reason=${reason} open=${openItem} onOpen=${onOpen} />
                </section>
              `)
        }
      </div>
      ${
        concept &&
        shown &&
        html`<${OnDemand}
          from="./item.js"
          name="ItemDrawer"
          of=${concept.id}
          task=${found}
          concept=${concept}
          type=${openType}
          states=${shown.states.slice(TYPE_COUNT * concept.index, TYPE_COUNT * concept.index + TYPE_COUNT)}
          session=${session}
          acts=${acts && found.actions.narrow}
          changes=${changes}
          show=${setDialog}
          onClose=${onClose}
          onDone=${onDone}
          onRetry=${(/** @type {any} */ part) =>
            setDialog(html`<${RetryDialog} task=${name} part=${part} what=${concept.name} onClose=${close} onDone=${onDone} />`)}
        />`
      }
    </div>
    ${dialog} <${Announce} text=${toast} />
  `;
}

/** What all parts of the view depend on. @param {Task} task */
const storyOf = ({ attempt, status, live, turn, generation_stopped, roadmap_id }) => JSON.stringify([attempt, status, live, turn.who, Boolean(generation_stopped), roadmap_id]);

/**
 * The parts of the view, of one moment; at first only the task. A part that cannot be loaded stays as it was.
 * @param {string} id @param {Session} session @param {AbortSignal} signal @param {Parts | null} previous @returns {Promise<Parts>}
 */
async function loadParts(id, session, signal, previous) {
  const scope = session.scope();
  const loadTask = () => get(["tasks", id], scope, signal);
  if (!previous) return { task: await loadTask() };
  const [task, [items, attempts]] = await ofOneMoment(previous.task, loadTask, storyOf, ({ roadmap_id: roadmap }) =>
    Promise.all([
      partOf(roadmap ? loadItems(id, session, signal, previous.items?.data ?? null) : null, previous.items),
      partOf(get(["tasks", id, "attempts"], { ...scope, limit: 50 }, signal).then((page) => page.items), previous.attempts),
    ]),
  );
  return { task, items, attempts };
}

/** @template T @param {Promise<T> | null} loading @param {Part<T> | undefined} previous @returns {Promise<Part<T>>} */
async function partOf(loading, previous) {
  try {
    return { data: await loading, error: null };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return { data: previous?.data ?? null, error };
  }
}

/** The name of a reason in the address. @param {ReasonRow} reason */
const reasonKey = (reason) => `${reason.error_code}.${reason.stage}.${checksum(reason.reason)}`;

/** @param {string} text */
function checksum(text) {
  let sum = 0;
  for (const character of text) sum = (sum * 31 + (character.codePointAt(0) ?? 0)) >>> 0;
  return sum.toString(36);
}

/**
 * Load a task's items. Names are loaded once; later only states, unless the roadmap has changed.
 * @param {string} id @param {Session} session @param {AbortSignal} signal @param {Items | null} previous @returns {Promise<Items>}
 */
async function loadItems(id, session, signal, previous) {
  if (previous && previous.outline.concepts.length > 0) {
    const loaded = await loadPages(id, { ...session.scope(), states_only: true }, signal);
    if (loaded.states.length === previous.states.length) return { ...loaded, outline: previous.outline };
  }
  const loaded = await loadPages(id, session.scope(), signal);
  return { ...loaded, outline: outlineOf(loaded.stages) };
}

/** @param {string} id @param {import("./api.js").Query} query @param {AbortSignal} signal */
async function loadPages(id, query, signal) {
  let states = "";
  /** @type {NonNullable<ItemsPage["stages"]>} */
  const stages = [];
  /** @type {ReasonRow[]} */
  const reasons = [];
  /** @type {Map<string, number>} */
  const known = new Map();
  /** @type {Map<number, number>} */
  const reasonOf = new Map();
  /** @type {string | null} */
  let cursor = null;
  do {
    /** @type {ItemsPage} */
    const page = await get(["tasks", id, "items"], { ...query, limit: CONCEPTS, cursor }, signal);
    const places = (page.reasons ?? []).map((reason) => {
      const key = reasonKey(reason);
      const place = known.get(key) ?? reasons.push({ ...reason, items: 0, by_type: {} }) - 1;
      const merged = reasons[place];
      if (merged) {
        merged.items += reason.items;
        for (const [type, count] of Object.entries(reason.by_type)) merged.by_type[type] = (merged.by_type[type] ?? 0) + count;
      }
      known.set(key, place);
      return place;
    });
    for (const [item, reason] of page.reason_of ?? []) {
      const place = places[reason];
      if (place !== undefined) reasonOf.set(states.length + item, place);
    }
    states += page.states.replaceAll("R", "F"); // rejected is a reason of a failed item, and no second state
    for (const stage of page.stages ?? []) {
      // A page may end within a stage or a module; the next page continues with the same name.
      const last = stages.at(-1);
      if (!last || last.name !== stage.name) {
        stages.push({ name: stage.name, modules: [...stage.modules] });
        continue;
      }
      const [first, ...rest] = stage.modules;
      const module = last.modules.at(-1);
      if (first && module && module.name === first.name) {
        last.modules[last.modules.length - 1] = { name: module.name, concepts: [...module.concepts, ...first.concepts] };
        last.modules.push(...rest);
      } else last.modules.push(...stage.modules);
    }
    cursor = page.next_cursor;
  } while (cursor);
  return { states, stages, reasons, reasonOf };
}

/** @param {NonNullable<ItemsPage["stages"]>} stages @returns {import("./map.js").Outline} */
function outlineOf(stages) {
  /** @type {import("./map.js").Concept[]} */
  const concepts = [];
  /** @type {import("./map.js").Module[]} */
  const modules = [];
  return {
    concepts,
    modules,
    stages: stages.map((stage, s) => ({
      name: stage.name,
      modules: stage.modules
        .filter((module) => module.concepts.length > 0)
        .map((module) => {
          const first = concepts.length;
          const own = module.concepts.map(([id, name], k) => ({ id, name: name.trim() || id, index: first + k }));
          concepts.push(...own);
          const made = { name: module.name, stage: s, first, concepts: own };
          modules.push(made);
          return made;
        }),
    })),
  };
}

/**
 * @param {{
 *   task: Task, items: Items | null, acts: boolean, sees: boolean, onRetry: (part?: { content_type: string }) => void,
 *   onRedrive: () => void, onCancel: () => void,
 * }} props
 */
function Head({ task, items, acts, sees, onRetry, onRedrive, onCancel }) {
  const known = totals(task);
  const counts = useMemo(() => {
    /** @type {Record<string, number>} */
    const found = { S: items ? 0 : known.saved };
    for (const state of items?.states ?? "") found[state] = (found[state] ?? 0) + 1;
    return found;
  }, [items?.states, known.saved]);
  const total = items ? items.states.length : known.total;
  const saved = counts.S ?? 0;
  const missing = total - saved;
  const shown = [...STATES].reverse().filter((state) => state === "S" || (counts[state] ?? 0) > 0);
  const waits = isWaiting(task);
  const stands = waits || Date.now() - Date.parse(task.turn.at ?? "") > STUCK_AFTER;
  const cause = items?.reasons.find(({ remedy, remedy_text: text }) => remedy === "person" && text === task.turn.why);
  const erased = task.erased ?? null;
  const [, by, why] = /^Cancelled by (\w+)(?:: (.+))?$/s.exec(task.error_message ?? "") ?? [];
  const message = by ? `${T.task.cancelledBy(T.actors[by] ?? by)}${why ? T.colon + why : ""}` : task.error_message;
  return html`
    <div class="task-head">
      <h1 tabindex="-1" class="clamp3"><${Text} value=${task.title || T.tasksView.untitled} /></h1>
      ${erased ? html`<span class="pill calm">${T.task.erasedPill}</span>` : html`<${Pill} value=${task.status} />`}
      ${task.live && (stands ? html`<span class="meta">${T.turn.who[waits ? "waiting" : "running"]}</span>` : html`<span class="running"><span class="pulse on"></span>${T.turn.who.running}</span>`)}
    </div>
    ${erased ? html`<${Erased} receipt=${erased} />` : task.turn.who !== "nobody" && html`<${Next} turn=${task.turn} code=${cause?.error_code} />`}
    ${task.attempt === 0 && !erased && html`<p class="note">${T.task.untouched} ${acts && isNew(task) && task.turn.who !== "running" && T.task.startsHere}</p>`}
    ${message && !erased && !COUNTED.test(message) && html`<p class="note calm clamp3"><${Text} value=${message} /></p>`}
    ${!sees && task.generation_stopped && html`<p class="note">${T.task.stopped} “<${Text} value=${task.generation_stopped.reason} />”${task.generation_stopped.since && html` (<${Age} at=${task.generation_stopped.since} />)`}</p>`}
    ${task.queue && !task.queue.stopped && html`<p class="note">${T.task.waits(number(task.queue.position), !task.queue.starts_in_seconds ? null : duration(task.queue.starts_in_seconds))}</p>`}
    <div class="task-top">
      ${
        total > 0 &&
        !erased &&
        html`<div>
          <p class="saved"><strong class="big">${percent(saved, total)} %</strong> ${T.task.saved(number(saved), number(total))}</p>
          <div class="wide-bar">
            <${Bar} parts=${shown.map((state) => [state, counts[state] ?? 0])} total=${total} label=${shown.map((state) => `${T.states[state]} ${number(counts[state] ?? 0)}`).join(T.comma)} />
          </div>
          <ul class="legend">
            ${shown.map(
              (state) => html`<li key=${state}>
                <${Mark} state=${state} /> ${T.states[state]} <strong>${number(counts[state] ?? 0)}</strong>
              </li>`,
            )}
          </ul>
        </div>`
      }
      <div class="task-actions">
        ${
          acts &&
          task.actions.retry &&
          (missing > 0 || task.status !== "completed") &&
          html`<button type="button" class=${["running", "automatic"].includes(task.turn.who) || task.turn.recovery_id ? "" : "primary"} onClick=${() => onRetry()}>
            ${missing === 0 ? T.task.finalize : isNew(task) ? T.task.start : T.task.retry(number(missing))}
          </button>`
        }
        ${acts && html`<${MoreActions} task=${task} onRetry=${onRetry} onRedrive=${onRedrive} />`}
        ${acts && task.actions.cancel && html`<button type="button" onClick=${onCancel}>${T.task.cancelTask}</button>`}
      </div>
    </div>
    <dl class="facts">
      <div><dt>${T.task.updated}</dt><dd><${Age} at=${task.updated_at} /></dd></div>
      <div><dt>${T.task.created}</dt><dd><${Age} at=${task.created_at} /></dd></div>
      ${
        task.tokens &&
        !erased &&
        html`<div><dt>${T.task.tokens}</dt>
          <dd>${task.tokens.budget === null ? number(task.tokens.used) : T.task.ofBudget(number(task.tokens.used), number(task.tokens.budget))}</dd></div>`
      }
      <div><dt>${T.task.id}</dt><dd><${Id} value=${task.task_id} /></dd></div>
      <div><dt>${T.tasksView.user}</dt><dd><${Id} value=${task.user_id} /></dd></div>
      ${task.roadmap_id && html`<div><dt>${T.tasksView.roadmap}</dt><dd><${Id} value=${task.roadmap_id} /></dd></div>`}
    </dl>
  `;
}

/** @param {{ receipt: import("./types").Receipt }} props */
const Erased = ({ receipt }) => html`<div class="note">
  <p><strong>${receipt.ended_at ? T.task.erased(moment(receipt.ended_at)) : T.task.erasing}</strong> ${T.task.erasedText}</p>
  <p class="meta">${T.task.receipt} <${Id} value=${receipt.erasure_id} /> · <${Actor} actor=${receipt.actor} /> · ${T.task.erasedRows(number(sum(receipt.removed.rows)))}</p>
</div>`;

/** A message that only repeats the counts shown above it. */
const COUNTED = /^\d+ of \d+ items? (is|are) missing$/;

/** The milliseconds without a sign after which Health counts a running task as stuck. */
const STUCK_AFTER = 1_800_000;

/** Whether nobody has tried to generate its content. @param {Task} task */
const isNew = (task) => task.attempt === 0 && task.status !== "failed";

/** Whether the task's attempt stands still: in the queue, or because generation or its recovery is stopped. @param {Task} task */
const isWaiting = (task) => task.live && task.turn.who !== "running";

/** The items in a state, by content type. @param {string} states @param {string} state @returns {Record<string, number>} */
const countsOf = (states, state) => Object.fromEntries(TYPES.map((type, t) => [type, [...states].filter((each, k) => each === state && k % TYPE_COUNT === t).length]));

/** What becomes of each missing item: a row for each cause, and for the items without a failure. @param {{ task: Task, items: Items, chosen: number | null }} props */
function Missing({ task, items: { states, reasons }, chosen }) {
  const rows = reasons
    .map((reason, index) => ({ reason, index }))
    .filter(({ reason }) => reason.items > 0)
    .sort((a, b) => Number(b.reason.remedy === "person") - Number(a.reason.remedy === "person") || b.reason.items - a.reason.items);
  const missing = [...states].filter((state) => state !== "S").length;
  if (missing === 0) return null;
  return html`
    <section class="reasons" aria-labelledby="reasons-heading">
      <h2 id="reasons-heading">${T.task.becomesOf(missing)}</h2>
      <ul>
        ${rows.map(
          ({ reason, index }) => html`
            <li key=${index} class=${chosen === index ? "chosen" : ""}>
              <strong class="count">${number(reason.items)}</strong>
              <div class="reason-what">
                <p><${ReasonLine} code=${reason.error_code} reason=${reason.reason} /></p>
                <${Remedy} code=${reason.error_code} action=${reason.remedy} text=${reason.remedy_text} />
                <p class="meta">
                  <button type="button" class="quiet" title=${T.task.show} aria-pressed=${chosen === index} onClick=${() => change({ reason: chosen === index ? null : reasonKey(reason) }, { replace: true })}>
                    ${ofTypes(reason.by_type)}<span class="visually-hidden">${T.colon}${T.task.show}</span>
                  </button> · ${T.stages[reason.stage] ?? reason.stage}
                </p>
              </div>
            </li>
          `,
        )}
        ${["T", "M", "G"].map((state) => {
          const counts = countsOf(states, state);
          const text = task.live && task.status !== "cancelled" ? T.task.becomesNow : T.task.becomesNext;
          return (
            sum(counts) > 0 &&
            html`<li key=${state}>
              <strong class="count">${number(sum(counts))}</strong>
              <div class="reason-what"><p>${T.task.without[state]}</p><p class="heals">${text[state]}</p><p class="meta">${ofTypes(counts)}</p></div>
            </li>`
          );
        })}
      </ul>
      ${
        rows.length > 0 &&
        html`<details class="original">
          <summary>${T.reasonOriginal}</summary>
          ${rows.map(({ reason, index }) => html`<p key=${index}><code>${reason.error_code}</code> <${Text} value=${reason.reason} /></p>`)}
        </details>`
      }
    </section>
  `;
}

/** Other ways to retry: one content type, or the last run again. @param {{ task: Task, onRetry: (part: { content_type: string }) => void, onRedrive: () => void }} props */
function MoreActions({ task, onRetry, onRedrive }) {
  const types = task.actions.narrow && task.attempt > 0 ? TYPES.filter((type) => (task.progress?.[type]?.missing ?? 0) > 0) : [];
  if (types.length < 2 && !task.actions.checkpoint) return null;
  return html`<details class="choices">
    <summary>${T.task.more} ▾</summary>
    <div>
      ${
        types.length > 1 &&
        types.map(
          (type) => html`<button type="button" key=${type} class="quiet" onClick=${() => onRetry({ content_type: type })}>
            ${T.task.retryType((T.typesMany[type] ?? type).toLocaleLowerCase(), number(task.progress[type]?.missing ?? 0))}
          </button>`,
        )
      }
      ${
        task.actions.checkpoint &&
        html`<button type="button" class="quiet" aria-describedby="redrive-help" onClick=${onRedrive}>${T.task.redrive}</button>
          <p id="redrive-help" class="meta">${T.heal.redriveText}</p>`
      }
    </div>
  </details>`;
}

/** @param {{ outline: import("./map.js").Outline, onOpen: (id: string, type: any) => void }} props */
function FindConcept({ outline, onOpen }) {
  const [text, setText] = useState("");
  const [after, setAfter] = useState(-1);
  const wanted = text.trim().toLocaleLowerCase();
  const matches = wanted ? outline.concepts.filter((each) => `${each.name}\n${each.id}`.toLocaleLowerCase().includes(wanted)) : [];
  /** @param {Event} event */
  const next = (event) => {
    event.preventDefault();
    const found = matches.find((each) => each.index > after) ?? matches[0];
    if (!found) return;
    setAfter(found.index);
    onOpen(found.id, "tutorial");
  };
  const search = (/** @type {any} */ event) => {
    setText(event.currentTarget.value);
    setAfter(-1);
  };
  return html`
    <form class="find" role="search" onSubmit=${next}>
      <input type="search" aria-label=${T.task.find} placeholder=${T.task.find} maxlength="200" value=${text} onInput=${search} />
      <button type="submit" disabled=${matches.length === 0}>${T.task.findNext}</button>
      <span class="meta" role="status">${wanted && T.task.matches(number(matches.length))}</span>
    </form>
  `;
}

/** @param {{ waits: boolean, attempts: Attempt[] | null, error: import("./api.js").ApiError | null, retry: () => void }} props */
function Attempts({ waits, attempts, error, retry }) {
  const [latest, ...older] = attempts ?? [];
  return html`
    <section class="attempts" aria-labelledby="attempts-heading">
      <h2 id="attempts-heading">${T.task.attempts}</h2>
      ${error && html`<${ErrorNote} error=${error} retry=${retry} />`} ${!attempts && !error && html`<${Loading} />`}
      ${attempts && !latest && html`<p class="meta">${T.task.noAttempts}</p>`}
      ${older.length > 0 && html`<${AttemptsChart} attempts=${[...older].reverse().concat(latest ?? [])} />`}
      ${latest && html`<ol><${AttemptEntry} key=${latest.attempt} attempt=${latest} waits=${waits} /></ol>`}
      ${
        older.length > 0 &&
        html`<details>
          <summary>${T.task.earlier(older.length)}</summary>
          <ol reversed>${older.map((attempt) => html`<${AttemptEntry} key=${attempt.attempt} attempt=${attempt} />`)}</ol>
        </details>`
      }
    </section>
  `;
}

/** When each attempt ran, how long, and what it saved and failed; of that, what failed for a temporary reason, such as an outage. @param {{ attempts: Attempt[] }} props */
function AttemptsChart({ attempts }) {
  const names = /** @type {[string, string][]} */ ([["S", T.task.savedCount], ["F", T.task.failedCount], ["outage", T.task.temporary]]);
  const columns = attempts.map((each) => {
    const [from, to] = [Date.parse(each.claimed_at), each.ended_at ? Date.parse(each.ended_at) : Date.now()];
    const counts = [sum(each.saved), sum(each.failed) - sum(each.temporary), sum(each.temporary)];
    const text = `${T.task.attemptNumber(each.attempt)}${T.colon}${names.map(([, name], k) => `${name} ${number(counts[k] ?? 0)}`).join(T.comma)} · ${moment(from)} · ${duration((to - from) / 1000)}`;
    // Its numbers are counted at its end. Until then, and without a plan, it is one grey unit.
    const rest = sum(each.planned) - sum(each.saved) - sum(each.failed) || Number(!sum(each.planned));
    return { from, to, text, parts: /** @type {[string, number][]} */ ([...names.map(([kind], k) => [kind, counts[k]]), ["M", rest]]) };
  });
  return html`<${OnDemand} from="./chart.js" name="Chart" label=${T.task.ofAttempts} columns=${columns} names=${names.filter(([kind]) => columns.some(({ parts }) => parts.some(([each, count]) => each === kind && count)))} />`;
}

/** @param {{ attempt: Attempt, waits?: boolean }} props */
function AttemptEntry({ attempt, waits }) {
  const failed = sum(attempt.failed);
  // Its items are counted at its end: until then, 0 would be wrong.
  const count = (/** @type {string} */ name, /** @type {Attempt["saved"]} */ counts, tone = "") =>
    counts && html`<span class=${tone}>${name} <strong>${number(sum(counts))}</strong></span>`;
  const notStarted = sum(attempt.not_started);
  const ended = attempt.ended_at;
  const url = safeLink(attempt.execution_url);
  // The cause already says it of an attempt without a person.
  const person = /^(user|operator|console)(:|$)/.test(attempt.actor);
  return html`
    <li class="attempt ${attempt.outcome ?? (waits ? "" : "open")}">
      <div class="attempt-head">
        <strong>${T.task.attemptNumber(attempt.attempt)}</strong>
        ${
          attempt.outcome
            ? html`<${Pill} value=${attempt.outcome} words=${T.task.outcomes} />`
            : html`<span class="pill ${waits ? "" : "busy"}">${T.turn.who[waits ? "waiting" : "running"]}</span>`
        }
        ${attempt.actor.startsWith("recovery:") ? html`<${Actor} actor=${attempt.actor} />` : html`<span>${T.task.causes[attempt.cause] ?? attempt.cause}</span>`}
        ${person && html`<${Actor} actor=${attempt.actor} />`}
        <span class="meta">
          <${Age} at=${attempt.claimed_at} />${ended ? ` · ${duration((Date.parse(ended) - Date.parse(attempt.claimed_at)) / 1000)}` : ""}
          ${attempt.redrive_count > 0 ? ` · ${T.task.redriven} ${number(attempt.redrive_count)}×` : ""}
          ${url && !waits && html` · <a href=${url} target="_blank" rel="noopener noreferrer">${T.task.execution} ↗</a>`}
        </span>
      </div>
      ${attempt.reason && html`<p class="clamp3">“<${Text} value=${attempt.reason} />”</p>`}
      <p class="counts">
        ${count(T.task.planned, attempt.planned)} ${count(T.task.savedCount, attempt.saved)}
        ${count(T.task.failedCount, attempt.failed, failed ? "bad-text" : "")} ${count(T.task.generated, attempt.generated)}
        ${notStarted ? html`<span>${T.task.notStarted(number(notStarted))}</span>` : ""}
        ${attempt.tokens ? html`<span>${T.tokens(attempt.tokens)}</span>` : ""}
        ${!attempt.outcome && !waits && attempt.step ? html`<span class="meta">${T.task.steps[attempt.step] ?? attempt.step}</span>` : ""}
      </p>
      ${Object.entries(attempt.temporary).map(([code, items]) => html`<p class="meta outage" key=${code}>${T.task.temporary} ${number(items)}${T.colon}<${ReasonLine} code=${code} reason=${code} /></p>`)}
    </li>
  `;
}
