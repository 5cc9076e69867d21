// Components that several views share.

import { createContext } from "./vendor/preact.js";
import { useContext, useEffect, useLayoutEffect, useRef, useState } from "./vendor/hooks.js";
import { TYPES } from "./content-types.js";
import { html } from "./html.js";
import { T, ago, moment, number } from "./language.js";
import { loadModule, useLive } from "./live.js";
import { outline } from "./marks.js";
import { href } from "./router.js";

/** The shape of a state, for use next to its name. @param {{ state: string }} props */
export const Mark = ({ state }) => html`
  <svg class="mark state-${state}" viewBox="0 0 14 14" width="14" height="14" aria-hidden="true">
    <path fill-rule="evenodd" d=${outline(state, 7, 7, 6.2)} />
  </svg>
`;

/** Text from content or an id, isolated so that its direction does not affect the surrounding text. */
export const Text = (/** @type {{ value: string | null | undefined, class?: string }} */ { value, class: name }) =>
  html`<bdi class="text ${name ?? ""}">${value ?? ""}</bdi>`;

/** An id on one line. Without room for all of it, its middle is cut. @param {{ value: string }} props */
export function Id({ value }) {
  const letters = [...value];
  if (letters.length <= 20) return html`<bdi class="id" dir="ltr">${value}</bdi>`;
  return html`<bdi class="id" dir="ltr" title=${value}><span>${letters.slice(0, -8).join("")}</span>${letters.slice(-8).join("")}</bdi>`;
}

/** A time as an age; the whole time as a tooltip. @param {{ at: string | number | null | undefined }} props */
export const Age = ({ at }) =>
  at === null || at === undefined
    ? html`<span>${T.none}</span>`
    : html`<time datetime=${new Date(at).toISOString()} title=${moment(at)}>${ago(at)}</time>`;

/** @type {Record<string, string>} */
const TONES = {
  completed: "good",
  partial_failure: "bad",
  failed: "bad",
  processing: "busy",
  running: "busy",
  canary: "busy",
  paused: "warn",
  stopped_by_canary: "bad",
  paused_by_breaker: "bad",
  stopped_by_budget: "warn",
  recovered: "good",
  still_failing: "bad",
  refused: "warn",
  new: "bad",
  regressed: "bad",
  acknowledged: "warn",
  resolved: "good",
  human_review_pending: "warn",
};

/** The class of a state, which has its colours. @param {string} value */
export const toneOf = (value) => TONES[value] ?? "calm";

/** @param {{ value: string, words?: Record<string, string> }} props */
export const Pill = ({ value, words = T.status }) => html`<span class="pill ${toneOf(value)}">${words[value] ?? value}</span>`;

/** A bar of parts. Its label contains the values. @param {{ parts: [string, number][], total: number, label: string }} props */
export const Bar = ({ parts, total, label }) => html`
  <span class="bar" role="img" aria-label=${label}>
    ${parts.map(
      ([kind, count]) =>
        count > 0 &&
        html`<span key=${kind} class="part part-${kind}" style=${{ flexGrow: count }}></span>`,
    )}
    <span style=${{ flexGrow: total - parts.reduce((all, [, count]) => all + count, 0) }}></span>
  </span>
`;

/** A bar in the colours of the states, and what is missing. @param {{ saved: number, failed: number, missing: number, total: number }} props */
export const Progress = ({ saved, failed, missing, total }) => html`
  <${Bar}
    parts=${[["S", saved], ["F", failed], ["M", missing - failed]]}
    total=${total}
    label=${T.tasksView.saved(number(saved), number(total))}
  />
  <span class="progress-text">${T.tasksView.ofAll(number(saved), number(total))}</span>
`;

/**
 * An error with the next step: a note at a part of a view, or above the data of `at`; or the whole view, without data (null).
 * @param {{ error: import("./api.js").ApiError, at?: number | null, retry?: () => void, missing?: string, forbidden?: string }} props
 */
export function ErrorNote({ error, at, retry, missing, forbidden }) {
  const sentence = errorSentence(error, { missing, forbidden });
  const works = T.errors.works[error.kind];
  const step = html`${T.errors.next[error.kind === "invalid" ? "missing" : error.kind]}${works && html` ${T.errors.staysSo} <${Link} to=${href(["runbook"])}>${T.health.runbook}<//>`}`;
  // What does not exist, will not exist after another request.
  const rest = html`${error.code && html`<p class="meta"><code>${error.code}</code> ${error.status}</p>`}
    ${retry && error.kind !== "missing" && error.kind !== "invalid" && html`<button type="button" onClick=${retry}>${T.tryAgain}</button>`}`;
  if (at !== null) return html`<div class="note bad" role="alert"><p>${sentence} ${at ? T.errors.stale(ago(at)) : step}</p>${rest}</div>`;
  return html`
    <div class="failure" role="alert">
      <h2>${sentence}</h2>
      <dl>
        ${works && html`<dt>${T.errors.since}</dt><dd><time datetime=${new Date(error.since ?? 0).toISOString()}>${moment(error.since ?? 0)}</time></dd>`}
        ${works && html`<dt>${T.errors.stillWorks}</dt><dd>${works}</dd>`}
        <dt>${T.errors.step}</dt><dd>${step}</dd>
      </dl>
      ${rest}
    </div>
  `;
}

/**
 * @param {import("./api.js").ApiError} error
 * @param {{ missing?: string | undefined, forbidden?: string | undefined }} [own] the sentences of a view
 */
export function errorSentence(error, { missing, forbidden } = {}) {
  if (error.kind === "conflict" || error.kind === "invalid") {
    const known = T.conflicts[error.code];
    if (known) return known;
    return error.message ? `${T.errors[error.kind]} ${error.message}` : T.errors[error.kind];
  }
  if (error.kind === "missing" && missing) return missing;
  if (error.kind === "forbidden" && forbidden) return forbidden;
  return T.errors[error.kind];
}

/** The rows of what is being loaded: their number, and their classes and those of their parts, which give them its layout. @type {Record<string, [number, string, string[]]>} */
const SKELETONS = {
  lines: [3, "", [""]],
  list: [8, "task-card", ["title", "ids", "state", "progress", "reason", "user", "time"]],
  groups: [4, "group cause", ["group-count", "group-what", "group-side"]],
  recoveries: [4, "group recovery", ["group-what", "group-time"]],
  tiles: [4, "", [""]],
  one: [1, "columns", ["title", "percent", "wide-bar", "legend", "reasons", "attempts"]],
};

/** Grey shapes in the place of what is being loaded. @param {{ like?: string }} props */
export const Loading = ({ like = "lines" }) => {
  const [count, row, parts] = SKELETONS[like] ?? [1, "", [""]];
  const spans = parts.map((part) => html`<span key=${part} class=${part}></span>`);
  return html`<div class="loading ${like}" role="status" aria-label=${T.loading}>${Array.from({ length: count }, (_, k) => html`<div key=${k} class=${row}>${spans}</div>`)}</div>`;
};

/** A component of a module that is read when it is shown; `of` is its key. @param {any} props */
export function OnDemand({ from, name, of, ...props }) {
  const { data, error, refresh } = useLive(from, () => loadModule(from), () => null);
  if (!data) return error ? html`<${ErrorNote} error=${error} retry=${refresh} />` : html`<${Loading} />`;
  return html`<${data[name]} key=${of} ...${props} />`;
}

/**
 * One of several choices, as buttons in a row. @template V
 * @param {{ label: string, options: [V, string][], chosen: V, choose: (value: V) => void }} props
 */
export const Chips = ({ label, options, chosen, choose }) => html`<div class="chips" role="group" aria-label=${label}>
  ${options.map(([value, text]) => html`<button type="button" key=${text} class="chip ${value === chosen ? "on" : ""}" aria-pressed=${value === chosen} onClick=${() => choose(value)}>${text}</button>`)}
</div>`;

/** @param {{ children: any }} props */
export const Empty = ({ children }) => html`<div class="empty">${children}</div>`;

/** A link to a part of the page's own address. @param {{ to: string, children: any, class?: string, current?: boolean }} props */
export const Link = ({ to, children, class: name, current }) =>
  html`<a href=${to} class=${name ?? ""} aria-current=${current ? "page" : undefined}>${children}</a>`;

/**
 * A modal dialog. The browser keeps the focus in it and gives it back; Escape closes it.
 * @param {{ heading: any, wide?: boolean, reading?: boolean, onClose: () => void, children: any }} props
 */
export function Dialog({ heading, wide = false, reading = false, onClose, children }) {
  const element = useRef(/** @type {HTMLDialogElement | null} */ (null));
  // Not after the page is painted: keys that are pressed before would be lost.
  useLayoutEffect(() => {
    const opener = document.activeElement;
    element.current?.showModal();
    return () => {
      if (opener instanceof HTMLElement && opener.isConnected) opener.focus();
    };
  }, []);
  return html`
    <dialog ref=${element} class=${reading ? "reading" : wide ? "wide" : ""} aria-labelledby="dialog-heading" onClose=${onClose}>
      <div class="dialog-head">
        <h2 id="dialog-heading">${heading}</h2>
        <button type="button" class="quiet" aria-label=${T.close} onClick=${onClose}>✕</button>
      </div>
      ${children}
    </dialog>
  `;
}

/** A short text that screen readers announce when it changes. @param {{ text: string }} props */
export const Announce = ({ text }) => html`<p class="toast" role="status" hidden=${!text}>${text}</p>`;

/** A message that disappears automatically. @returns {[string, (text: string) => void]} */
export function useToast() {
  const [text, setText] = useState("");
  useEffect(() => {
    if (!text) return undefined;
    const timer = setTimeout(() => setText(""), 8000);
    return () => clearTimeout(timer);
  }, [text]);
  return [text, setText];
}

/** The page's title and its first heading, which takes the focus when the view is entered. */
export function useTitle(/** @type {string} */ title) {
  useEffect(() => {
    document.title = title ? `${title} · ${T.title}` : T.title;
  }, [title]);
}

/** @param {number[] | Record<string, number> | Partial<Record<string, number>> | null | undefined} counts */
export const sum = (counts) => Object.values(counts ?? {}).reduce((/** @type {number} */ a, b) => a + (b ?? 0), 0);

/** The items of a task, and how many of them are saved. @param {import("./types").TaskDetail} task */
export function totals({ progress }) {
  const types = Object.values(progress ?? {});
  return { total: sum(types.map((each) => each.total)), saved: sum(types.map((each) => each.saved)) };
}

/** Counts by content type, in words. @param {Partial<Record<string, number>>} counts */
export const ofTypes = (counts) =>
  TYPES.filter((type) => counts[type])
    .map((type) => T.ofType(number(counts[type] ?? 0), (counts[type] === 1 ? T.types[type] : T.typesMany[type]) ?? type))
    .join(" · ");

/** An actor of the audit trail: `operator:<sub>`. @param {{ actor: string }} props */
export function Actor({ actor }) {
  const { sees } = useContext(Caller);
  const [kind = "", ...rest] = actor.split(":");
  const name = rest.join(":");
  const label = T.actors[kind] ?? kind;
  if (kind === "recovery" && sees) return html`<${Link} to=${href(["recoveries", name])}>${label}<//>`;
  return html`<span title=${kind === "console" ? T.directStart : undefined}>${label}${name && name !== label && kind !== "recovery" && html` <${Id} value=${name} />`}</span>`;
}

/**
 * A reason in the page's language, by its code; the recorded text is one click away. An unknown code has only the
 * recorded text. @param {{ code: string, reason: string | null | undefined, children?: any }} props the children stand
 * between the two
 */
export function Reason({ code, reason, children }) {
  const sentence = reasonSentence(code, reason);
  if (!sentence) return html`<p class="clamp5"><code>${code}</code> <${Text} value=${reason} /></p>${children}`;
  return html`<p>${sentence}</p>
    ${children}
    <${Recorded} code=${code} reason=${reason} />`;
}

/**
 * What becomes of items with a cause, or what a person must do first.
 * @param {{ code: string | undefined, action: string, text: string }} props `text` is the API's
 */
export const Remedy = ({ code, action, text }) =>
  action === "person"
    ? html`<p class="needs">▲ ${T.turn.who.person}${T.colon}${T.remedies[code ?? ""] ?? text}<${ByOperator} /></p>`
    : html`<p class="heals">${T.actions[action] ?? text}</p>`;

/** Who acts next, when, and why. @param {{ turn: import("./types").Turn, code?: string | undefined }} props `code`: of the one cause */
export function Next({ turn: { who, at, why, recovery_id: recovery }, code }) {
  const { sees } = useContext(Caller);
  const text = T.remedies[code ?? ""] ?? whyOf(why);
  return html`<p class="${who === "person" ? "needs" : "heals"}">
    ${who === "person" ? "▲ " : ""}${T.turn.who[who] ?? who}${at && html`${T.colon}${who === "running" ? html`${T.turn.sign} <${Age} at=${at} />` : html`<time datetime=${at}>${moment(at)}</time>`}`}${T.stop}${recovery && sees ? html`<${Link} to=${href(["recoveries", recovery])}>${text}<//>` : text}${who === "person" && html`<${ByOperator} retry=${!code && !recovery} />`}
  </p>`;
}

/** The caller: what they may do. */
export const Caller = createContext(/** @type {import("./app.js").Session} */ (/** @type {unknown} */ (null)));

/** Who acts, for a caller who may not. @param {{ retry?: boolean }} props `retry`: it is a retry, which owners may start */
export function ByOperator({ retry }) {
  const { operates, acts } = useContext(Caller);
  return operates || (retry && acts) ? null : T.byOperator;
}

/** @param {string} why the API's */
export const whyOf = (why) => T.turn.why[why] ?? T.turn.other ?? why;

/** The recorded text of a reason, on demand. @param {{ code: string, reason: string | null | undefined }} props */
export const Recorded = ({ code, reason }) => html`<details class="original">
  <summary>${T.reasonOriginal}</summary>
  <p><code>${code}</code> <${Text} value=${reason} /></p>
</details>`;

/** @param {{ code: string, reason: string | null | undefined }} props */
export const ReasonLine = ({ code, reason }) =>
  html`<span class="clamp" title=${`${code}: ${reason ?? ""}`}>${reasonSentence(code, reason) ?? html`<${Text} value=${reason || code} />`}</span>`;

/** @param {string} code @param {string | null | undefined} reason */
function reasonSentence(code, reason) {
  // An SQLSTATE has a class of two characters; a code of the cloud a prefix, such as `Runtime.`
  const keys = /^[0-9A-Z]{5}$/.test(code) ? [code, code.slice(0, 2)] : [code, code.replace(/\..*/, ".")];
  const key = keys.find((each) => T.reasons[each]);
  if (!key) return null;
  const path = code === "InvalidContent" && pathOf(reason ?? "");
  return path ? T.reasonAt(T.reasons[key] ?? "", path) : T.reasons[key];
}

/**
 * The path at the beginning of a reason, such as `questions[0].explanation`. The reason of a group has a placeholder
 * instead of each number. @param {string} reason
 */
export function pathOf(reason) {
  const path = /^(?:a key of )?([\w$-]+(?:\.[\w$-]+|\[(?:\d+|<\w+>)\])+)(?=:? )/.exec(reason)?.[1] ?? /^(\w+):? (?:holds|is|must|should)/.exec(reason)?.[1];
  return path?.replace(/<\w+>/g, "…") ?? null;
}
