// The undo of a recovery that regenerated saved items: its dialog, and its report.

import { useState } from "./vendor/hooks.js";
import { post } from "./api.js";
import { useRequest } from "./heal.js";
import { html } from "./html.js";
import { T, number } from "./language.js";
import { useAnswer } from "./live.js";
import { Dialog, ErrorNote, Id, Link, Loading, ReasonLine } from "./parts.js";
import { href } from "./router.js";

/** @typedef {import("./types").UndoCounts} UndoCounts */

/** A result's reason is a code, or a code and a text. @param {string} reason */
export function codeOf(reason) {
  const [code = "", ...rest] = reason.split(": ");
  return { code, reason: rest.join(": ") || reason };
}

/** @param {{ id: string, begun: UndoCounts | null, onClose: () => void }} props */
export function UndoDialog({ id, begun, onClose }) {
  const [counts, setCounts] = useState(begun);
  const { busy, error, run } = useRequest();
  // Each request has a time limit, and the next one continues.
  const undo = async () => {
    for (;;) {
      const answer = await post(["recoveries", id, "undo"], {});
      setCounts(answer);
      if (answer.complete) return answer;
    }
  };
  const start = async () => {
    if (await run(undo)) onClose(); // the page has the report
  };
  return html`
    <${Dialog} heading=${T.undo.heading} onClose=${onClose}>
      <p>${T.undo.text}</p>
      ${counts && html`<${UndoTiles} counts=${counts} />`}
      ${busy && html`<p role="status">${T.undo.running}</p>`} ${error && html`<${ErrorNote} error=${error} />`}
      <div class="actions">
        <button type="button" class="danger" disabled=${busy} onClick=${start}>${T.undo.start}</button>
        <button type="button" onClick=${onClose}>${T.cancel}</button>
      </div>
    <//>
  `;
}

/** @param {{ counts: UndoCounts }} props */
const UndoTiles = ({ counts }) => html`
  <dl class="tiles">
    <div><dt>${T.undo.restored}</dt><dd>${number(counts.restored)}</dd></div>
    <div><dt>${T.undo.notReplaced}</dt><dd>${number(counts.not_replaced)}</dd></div>
    <div><dt>${T.undo.leftAlone}</dt><dd>${number(counts.left_alone)}</dd></div>
    ${counts.tasks_left > 0 && html`<div><dt>${T.undo.tasksLeft}</dt><dd>${number(counts.tasks_left)}</dd></div>`}
  </dl>
`;

/** What an undo has done, and the items that it left alone. @param {{ id: string, counts: UndoCounts }} props */
export function UndoReport({ id, counts }) {
  const [open, setOpen] = useState(false);
  return html`
    <section aria-labelledby="undo-heading">
      <h2 id="undo-heading">${T.undo.report}</h2>
      <${UndoTiles} counts=${counts} />
      ${
        counts.left_alone > 0 &&
        html`<details onToggle=${(/** @type {any} */ event) => setOpen(event.currentTarget.open)}>
          <summary>${T.undo.showLeftAlone(counts.left_alone)}</summary>
          ${open && html`<${LeftAloneList} id=${id} counts=${counts} />`}
        </details>`
      }
    </section>
  `;
}

/** @param {{ id: string, counts: UndoCounts }} props */
function LeftAloneList({ id, counts }) {
  /** @type {import("./live.js").Live<import("./types").RecoveryTaskPage>} */
  const { data, error, refresh } = useAnswer(["recoveries", id, "tasks"], { limit: 200 }, () => null, String(counts.left_alone));
  if (!data) return error ? html`<${ErrorNote} error=${error} retry=${refresh} />` : html`<${Loading} />`;
  const items = data.items.flatMap(({ task_id, undone }) => (undone?.left_alone ?? []).map((item) => ({ ...item, task_id })));
  return html`
    <ul class="plain">
      ${items.map(
        (each) => html`<li key=${`${each.task_id} ${each.concept_id} ${each.content_type}`}>
          <${Link} to=${href(["tasks", each.task_id], { item: each.concept_id, type: each.content_type })}><${Id} value=${each.concept_id} /><//>
          <span class="meta"> ${T.types[each.content_type] ?? each.content_type}</span>
          <span class="block"><${ReasonLine} ...${codeOf(each.reason)} /></span>
        </li>`,
      )}
    </ul>
    ${counts.left_alone > items.length && html`<p class="meta">${T.undo.someOf(number(items.length))}</p>`}
  `;
}
