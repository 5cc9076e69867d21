// The drawer next to the map: one concept and its items, with the reason and the next action of missing ones.

import { useEffect, useRef, useState } from "./vendor/hooks.js";
import { get } from "./api.js";
import { SavedContent, UnsavedContent } from "./content.js";
import { TYPES } from "./content-types.js";
import { html } from "./html.js";
import { T, ago, number, size } from "./language.js";
import { useLive } from "./live.js";
import { Age, ErrorNote, Id, Loading, Mark, Reason, Remedy, Text } from "./parts.js";
import { OriginFacts, Revisions } from "./revisions.js";
import { change } from "./router.js";

/** @typedef {import("./types").ItemDetail} ItemDetail */
/** @typedef {import("./types").ContentType} ContentType */
/** @typedef {import("./app.js").Session} Session */

/**
 * @param {{
 *   task: import("./types").TaskDetail, concept: import("./map.js").Concept, type: ContentType, states: string,
 *   session: Session, acts: boolean, changes: number, show: (dialog: any) => void, onClose: () => void, onDone: (message: string) => void,
 *   onRetry: (part: { concept_id: string, content_type?: ContentType, regenerate?: boolean, revision?: string }) => void,
 * }} props
 */
export function ItemDrawer({ task, concept, type, states, session, acts, changes, show, onClose, onDone, onRetry }) {
  const heading = useRef(/** @type {HTMLElement | null} */ (null));
  const drawer = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => heading.current?.focus({ preventScroll: true }), []);
  useEffect(() => {
    // Below 700 px the drawer is a sheet at the bottom. The opened concept must stay visible above it.
    if (window.matchMedia("(max-width: 700px)").matches) {
      document.querySelector(`[data-index="${concept.index}"]`)?.scrollIntoView({ block: "end" });
    }
  }, [type]);

  /** Whether an item is of another moment than the map. */
  const isLater = (/** @type {ItemDetail} */ item, /** @type {number} */ k) => (item.state === "saved") !== (states[k] === "S");
  const details = useLive(
    `item ${task.task_id} ${concept.id}`,
    /** @type {(signal: AbortSignal) => Promise<ItemDetail[]>} */
    ((signal) => Promise.all(TYPES.map((each) => get(["tasks", task.task_id, "items", each], { ...session.scope(), concept_id: concept.id }, signal)))),
    // A revision that somebody restores changes nothing of the task.
    (items) => (items?.some(isLater) ? 1500 : 10_000),
    `${states} ${task.attempt} ${task.completed_at} ${changes}`,
  );
  useEffect(() => {
    if (window.matchMedia("(max-width: 700px)").matches) return; // the sheet is low: the reason would be scrolled away
    drawer.current?.querySelector("mark")?.scrollIntoView({ block: "nearest" });
  }, [type, details.data !== null]);
  const missing = TYPES.filter((_, k) => states[k] !== "S" && states[k] !== "G");
  const place = TYPES.indexOf(type);
  const state = states[place] ?? "M";
  const loaded = details.data?.[place];
  const detail = loaded && !isLater(loaded, place) ? loaded : null;
  return html`
    <aside
      class="drawer"
      ref=${drawer}
      aria-labelledby="drawer-heading"
      onKeyDown=${(/** @type {KeyboardEvent} */ event) => {
        if (event.key === "Escape") {
          event.stopPropagation();
          onClose();
        }
      }}
    >
      <div class="drawer-head">
        <h2 id="drawer-heading" tabindex="-1" ref=${heading} class="clamp3"><${Text} value=${concept.name} /></h2>
        <button type="button" class="quiet" onClick=${onClose}>${T.close} ✕</button>
      </div>
      ${details.data?.[0]?.module && html`<p class="meta"><${Text} value=${details.data[0].module} /></p>`}
      <div class="tabs" role="tablist">
        ${TYPES.map(
          (each, k) => html`<button type="button" key=${each} role="tab" id="tab-${each}" aria-selected=${each === type} aria-controls="tab-panel" tabindex=${each === type ? 0 : -1}
            onClick=${() => change({ type: each }, { replace: true })} onKeyDown=${(/** @type {KeyboardEvent} */ event) => moveTab(event, each)}>
            <${Mark} state=${states[k] ?? "M"} /> ${T.types[each]}
          </button>`,
        )}
      </div>
      <section id="tab-panel" key=${type} data-type=${type} role="tabpanel" aria-labelledby="tab-${type}" class="item chosen">
        <h3 class="visually-hidden">${T.types[type]}</h3>
        <p class="item-head">
          <span class="state">${T.states[state]}</span>
          ${
            acts &&
            state !== "G" &&
            html`<button type="button" class="small" disabled=${state === "S" && !detail && !details.error} onClick=${() => onRetry({ concept_id: concept.id, content_type: type, ...(state === "S" ? { regenerate: true, revision: detail?.saved?.id } : {}) })}>
              ${state === "S" ? T.task.regenerate : T.task.retryOne}
            </button>`
          }
          ${acts && missing.length > 1 && html`<button type="button" class="small" onClick=${() => onRetry({ concept_id: concept.id })}>${T.task.retryConcept}</button>`}
        </p>
        ${
          detail &&
          html`<${Details}
            detail=${detail}
            over=${Boolean(task.erased)}
            load=${(/** @type {string} */ revision) =>
              html`<${SavedContent} taskId=${task.task_id} conceptId=${concept.id} type=${type} revision=${revision} scope=${session.scope()} title=${concept.name} />`}
            revisions=${(/** @type {string} */ saved) =>
              html`<${Revisions}
                item=${{ taskId: task.task_id, userId: session.userFor(task.user_id), conceptId: concept.id, name: concept.name, type, scope: session.scope() }}
                saved=${saved}
                acts=${acts}
                show=${show}
                onDone=${onDone}
              />`}
          />`
        }
        <p class="meta"><${Id} value=${concept.id} /></p>
      </section>
      ${details.error ? html`<${ErrorNote} error=${details.error} retry=${details.refresh} />` : !detail && html`<${Loading} />`}
    </aside>
  `;
}

/** The arrow keys move between the tabs. @param {KeyboardEvent} event @param {ContentType} type */
function moveTab(event, type) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const next = TYPES[(TYPES.indexOf(type) + step + TYPES.length) % TYPES.length] ?? type;
  change({ type: next }, { replace: true });
  document.getElementById(`tab-${next}`)?.focus();
}

/** A part that is shown on demand. @param {{ label: string, shown: boolean, children: () => any }} props */
function Fold({ label, shown, children }) {
  const [open, setOpen] = useState(shown);
  useEffect(() => setOpen(shown), [shown]);
  return html`<details open=${open} onToggle=${(/** @type {any} */ event) => setOpen(event.currentTarget.open)}>
    <summary>${label}</summary>
    ${open && children()}
  </details>`;
}

/** @param {{ detail: ItemDetail, over: boolean, load: (revision: string) => any, revisions: (saved: string) => any }} props `over`: there is no next attempt */
function Details({ detail, over, load, revisions }) {
  const saved = detail.saved && `${detail.saved.id} ${detail.saved.version} ${detail.saved.generated_at}`;
  const [latest] = detail.failures;
  const missing = detail.state !== "saved";
  return html`
    ${
      missing &&
      latest &&
      html`<div class="note bad">
        <${Reason} code=${latest.error_code} reason=${latest.reason} />
        <p class="meta">${T.stages[latest.stage] ?? latest.stage} · ${latest.transient ? T.item.temporary : T.item.permanent}</p>
      </div>`
    }
    ${missing && !over && html`<${Remedy} code=${latest?.error_code} action=${detail.next_action} text=${detail.next_action_text} />`}
    ${saved && html`<${Fold} label=${T.content.heading} shown=${true}>${() => load(saved)}<//>`}
    ${
      missing &&
      detail.staged?.text &&
      html`<${Fold} label=${detail.state === "rejected" ? T.content.refused : T.content.staged} shown=${true}>
        ${() => html`<${UnsavedContent} type=${detail.content_type} text=${detail.staged?.text} reason=${latest?.reason ?? null} label=${detail.state === "rejected" ? T.content.refused : T.content.staged} />`}
      <//>`
    }
    <dl class="facts narrow">
      ${
        detail.saved &&
        html`<div><dt>${T.item.saved}</dt>
          <dd>
            <${Id} value=${detail.saved.id} />
            ${detail.saved.version !== null && html`<span class="meta"> ${T.item.version} ${number(detail.saved.version)}</span>`}
            <span class="meta block"><${Age} at=${detail.saved.generated_at} /></span>
          </dd></div>`
      }
      ${
        missing &&
        html`<div><dt>${T.item.staged}</dt>
          <dd>
            ${detail.staged ? T.item.stagedText(size(detail.staged.size), ago(detail.staged.stored_at)) : html`<span class="meta">${T.item.nothingStaged}</span>`}
          </dd></div>`
      }
    </dl>
    ${
      saved &&
      html`<${Fold} label=${T.origin.heading} shown=${true}>${() => html`<${OriginFacts} origin=${detail.saved?.origin} />`}<//>
        <${Fold} label=${T.revisions.list} shown=${false}>${() => revisions(saved)}<//>`
    }
    ${
      detail.rejected.length > 0 &&
      html`<details open=${missing}>
        <summary>${T.item.rejected} (${number(detail.rejected.length)})</summary>
        <ul class="plain">
          ${detail.rejected.map(
            (each) => html`<li key=${each.key}>
              ${each.error_code && !(missing && each.reason === latest?.reason) && html`<${Reason} code=${each.error_code} reason=${each.reason} />`}
              ${each.text && html`<${UnsavedContent} type=${detail.content_type} text=${each.text} reason=${each.reason} label=${T.content.refused} />`}
              <span class="meta block">${each.attempt !== null ? `${T.task.attemptNumber(each.attempt)} · ` : ""}${size(each.size)} · <${Age} at=${each.stored_at} /></span>
              <span class="meta block"><${Id} value=${each.key} /></span>
            </li>`,
          )}
        </ul>
      </details>`
    }
    ${
      detail.failures.length > (missing ? 1 : 0) &&
      html`<details>
        <summary>${T.item.history} (${number(detail.failures.length)})</summary>
        <ol class="plain">
          ${detail.failures.map(
            (failure, index) => html`<li key=${index}>
              <strong>${T.task.attemptNumber(failure.attempt)}</strong>
              <${Reason} code=${failure.error_code} reason=${failure.reason} />
              <span class="meta block"><${Age} at=${failure.occurred_at} /></span>
            </li>`,
          )}
        </ol>
      </details>`
    }
  `;
}
