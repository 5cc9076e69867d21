// Ctrl-K: everything that has a name, by keyboard: views, filters of the list, tasks, recoveries.

import { useEffect, useLayoutEffect, useRef, useState } from "./vendor/hooks.js";
import { ApiError, get } from "./api.js";
import { html } from "./html.js";
import { T } from "./language.js";
import { Dialog, Id, Text } from "./parts.js";
import { go, href } from "./router.js";

/** @typedef {{ to: string, kind: string, name: string, id?: string, act?: () => void }} Place */

/** @param {{ session: import("./app.js").Session, sections: string[] }} props */
export function Palette({ session, sections }) {
  const [open, setOpen] = useState(false);
  useEffect(() => {
    /** @param {KeyboardEvent} event */
    const onKey = (event) => {
      if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      setOpen(true);
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, []);
  return html`
    <button type="button" class="quiet places-button" aria-keyshortcuts="Control+K" onClick=${() => setOpen(true)}>
      <span class="keys">${T.palette.open} <kbd aria-hidden="true">Ctrl K</kbd></span>
      <svg class="touch" viewBox="0 0 16 16" width="16" height="16" role="img" aria-label=${T.palette.open}><path d="M7 2a5 5 0 1 0 0 10A5 5 0 0 0 7 2M10.5 10.5 15 15" /></svg>
    </button>
    ${open && html`<${Places} session=${session} sections=${sections} onClose=${() => setOpen(false)} />`}
  `;
}

/** @param {{ session: import("./app.js").Session, sections: string[], onClose: () => void }} props */
function Places({ session, sections, onClose }) {
  const [text, setText] = useState("");
  const [found, setFound] = useState(/** @type {Place[]} */ ([]));
  const [at, setAt] = useState(0);
  const wanted = text.trim();
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  useLayoutEffect(() => input.current?.focus(), []); // after the dialog has opened
  useEffect(() => {
    const abort = new AbortController();
    const timer = setTimeout(() => void search(wanted, session, abort.signal).then(setFound), wanted ? 200 : 0);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [wanted]);
  // The buttons of the page below, which the dialog does not change.
  const [actions] = useState(() =>
    [...document.querySelectorAll("main :is(.task-actions button, .head button:not(.quiet, .small))")].map(
      (button) => /** @type {Place} */ ({ to: "", kind: T.palette.action, name: button.textContent?.trim() ?? "", act: () => button instanceof HTMLElement && button.click() }),
    ),
  );
  const places = [...[...actions, ...fixed(sections)].filter((each) => each.name.toLocaleLowerCase().includes(wanted.toLocaleLowerCase())), ...found];
  const current = Math.min(at, places.length - 1);
  /** @param {Place | undefined} place */
  const choose = (place) => {
    if (!place) return;
    onClose();
    if (place.act) place.act();
    else go(place.to);
  };
  return html`<${Dialog} heading=${T.palette.heading} onClose=${onClose}>
    <input
      type="search"
      role="combobox"
      aria-expanded="true"
      aria-controls="places"
      aria-activedescendant=${current >= 0 ? `place-${current}` : undefined}
      aria-label=${T.palette.heading}
      placeholder=${T.palette.help}
      ref=${input}
      maxlength="100"
      value=${text}
      onInput=${(/** @type {any} */ event) => {
        setText(event.currentTarget.value);
        setAt(0);
      }}
      onKeyDown=${(/** @type {KeyboardEvent} */ event) => {
        const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
        if (step) setAt((current + step + places.length) % places.length);
        else if (event.key === "Enter") choose(places[current]);
        else return;
        event.preventDefault();
      }}
    />
    ${places.length === 0 && html`<p class="meta" role="status">${T.palette.none}</p>`}
    <ul id="places" class="places" role="listbox" aria-label=${T.palette.heading}>
      ${places.map(
        (place, k) => html`<li key=${`${place.kind} ${place.name} ${place.to}`} id="place-${k}" role="option" aria-selected=${k === current} onClick=${() => choose(place)}>
          <${Text} value=${place.name} /> <span class="meta">${place.kind} ${place.id && html`<${Id} value=${place.id} />`}</span>
        </li>`,
      )}
    </ul>
  <//>`;
}

/** @param {string[]} sections @returns {Place[]} */
const fixed = (sections) => [
  ...sections.map((each) => ({ to: href([each]), kind: T.palette.view, name: /** @type {any} */ (T.sections)[each] })),
  ...Object.entries(T.status).map(([status, name]) => ({ to: href(["tasks"], { status }), kind: T.palette.filter, name })),
];

/** The tasks, recoveries and causes of failures with this beginning or text. @param {string} q @param {import("./app.js").Session} session @param {AbortSignal} signal @returns {Promise<Place[]>} */
async function search(q, session, signal) {
  if (q.length < 2) return [];
  try {
    const [tasks, recoveries, failures] = await Promise.all([
      get(["tasks"], { q, limit: 8 }, signal),
      session.sees ? get(["recoveries"], { limit: 50 }, signal) : { items: [] },
      get(["failures"], { limit: 50 }, signal),
    ]);
    const holds = (/** @type {string} */ text) => text.toLocaleLowerCase().includes(q.toLocaleLowerCase());
    return [
      ...tasks.items.map((/** @type {import("./types").TaskRow} */ task) => ({
        to: href(["tasks", task.task_id]),
        kind: T.palette.task,
        name: task.title || T.tasksView.untitled,
        id: task.task_id,
      })),
      ...recoveries.items
        .filter((/** @type {import("./types").RecoveryAnswer} */ each) => holds(each.reason))
        .map((/** @type {import("./types").RecoveryAnswer} */ each) => ({ to: href(["recoveries", each.recovery_id]), kind: T.palette.recovery, name: each.reason })),
      ...failures.items
        .map((/** @type {import("./types").FailureGroup} */ each) => ({
          to: href(["tasks"], { group_id: each.group_id }),
          kind: T.palette.cause,
          name: T.reasons[each.error_code] ?? each.reason,
          id: each.error_code,
        }))
        .filter((/** @type {Place} */ each) => holds(`${each.name} ${each.id}`)),
    ];
  } catch (error) {
    if (signal.aborted || error instanceof ApiError) return [];
    throw error;
  }
}
