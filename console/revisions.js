// The revisions of an item: a list with the origin of each, two side by side, and the restore of a former one.

import { useState } from "./vendor/hooks.js";
import { get } from "./api.js";
import { contentLines } from "./content.js";
import { RestoreDialog } from "./heal.js";
import { html } from "./html.js";
import { T, moment, number, size } from "./language.js";
import { loadModule, useLive } from "./live.js";
import { Actor, Age, Dialog, ErrorNote, Id, Loading, Text } from "./parts.js";

/** @typedef {import("./types").Revision} Revision */
/** @typedef {import("./types").ContentType} ContentType */
/** @typedef {import("./types").SavedItem} SavedItem */
/** @typedef {{ taskId: string, userId: string, conceptId: string, name: string, type: ContentType, scope: { user_id?: string } }} ItemName */

/** How saved content came to be. @param {{ origin: import("./types").ItemOrigin | null | undefined }} props */
export function OriginFacts({ origin }) {
  if (!origin) return html`<p class="meta origin">${T.origin.none}</p>`;
  const [prompt, version] = (origin.prompt_version ?? "").split("@");
  const tokens = origin.tokens_in !== null || origin.tokens_out !== null;
  return html`<dl class="facts pairs origin">
    <div><dt>${T.origin.generator}</dt><dd>${origin.generator ? (T.origin.generators[origin.generator] ?? origin.generator) : T.unknown}</dd></div>
    ${origin.model_id && html`<div><dt>${T.origin.model}</dt><dd><${Id} value=${origin.model_id} /></dd></div>`}
    ${prompt && html`<div><dt>${T.origin.prompt}</dt><dd><${Id} value=${prompt} />${version && html` <span class="meta">${T.item.version} <${Id} value=${version} /></span>`}</dd></div>`}
    ${tokens && html`<div><dt>${T.task.tokens}</dt><dd>${T.origin.tokens(number(origin.tokens_in ?? 0), number(origin.tokens_out ?? 0))}</dd></div>`}
    ${origin.attempt !== null && html`<div><dt>${T.task.attempt}</dt><dd>${number(origin.attempt)}</dd></div>`}
    ${origin.actor && html`<div><dt>${origin.restored_from ? T.origin.restoredBy : T.origin.by}</dt><dd><${Actor} actor=${origin.actor} /></dd></div>`}
    ${origin.restored_from && html`<div><dt>${T.origin.restored}</dt><dd><${Id} value=${origin.restored_from} /></dd></div>`}
    ${origin.reason && html`<div><dt>${T.heal.reason}</dt><dd><${Text} value=${origin.reason} class="clamp3" /></dd></div>`}
    ${origin.recorded_at && html`<div><dt>${T.origin.at}</dt><dd><${Age} at=${origin.recorded_at} /></dd></div>`}
  </dl>`;
}

/** @param {Revision} revision */
const nameOf = (revision) =>
  `${revision.version === null ? "" : `${T.item.version} ${number(revision.version)} · `}${revision.generated_at ? moment(revision.generated_at) : T.unknown}${revision.current ? ` · ${T.revisions.current}` : ""}`;

/** @param {Revision} revision */
function writer({ origin }) {
  if (!origin?.generator) return T.unknown;
  return [T.origin.generators[origin.generator] ?? origin.generator, origin.model_id].filter(Boolean).join(" · ");
}

/** @param {{ item: ItemName, saved: string, acts: boolean, show: (dialog: any) => void, onDone: (message: string) => void }} props */
export function Revisions({ item, saved, acts, show, onDone }) {
  const { data, error, refresh } = useLive(
    `revisions ${item.taskId} ${item.conceptId} ${item.type} ${saved}`,
    /** @type {(signal: AbortSignal) => Promise<Revision[]>} */ (
      async (signal) => (await get(["tasks", item.taskId, "items", item.type, "revisions"], { ...item.scope, concept_id: item.conceptId }, signal)).items
    ),
    () => null,
  );
  if (!data) return error ? html`<${ErrorNote} error=${error} retry=${refresh} />` : html`<${Loading} />`;
  const close = () => show(null);
  const current = data.find((each) => each.current) ?? data[0];
  const restore = acts ? (/** @type {Revision} */ revision) => show(html`<${RestoreDialog} item=${item} revision=${{ id: revision.revision_id, name: nameOf(revision) }} onClose=${close} onDone=${onDone} />`) : null;
  return html`
    ${data.length < 2 && html`<p class="meta">${T.revisions.none}</p>`}
    <ol class="plain revisions">
      ${data.map(
        (each) => html`<li key=${each.revision_id}>
          <strong>${each.version === null ? html`<${Age} at=${each.generated_at} />` : `${T.item.version} ${number(each.version)}`}</strong>
          ${each.current && html` <span class="pill good">${T.revisions.current}</span>`}
          <span class="meta block">
            ${each.version !== null && html`<${Age} at=${each.generated_at} /> · `}${each.size !== null && `${size(each.size)} · `}<${Text} value=${writer(each)} />
          </span>
          ${each.replaced_at && html`<span class="meta block">${T.revisions.replaced} <${Age} at=${each.replaced_at} /> · ${T.revisions.reasons[each.reason ?? ""] ?? html`<${Text} value=${each.reason} />`}</span>`}
          <details>
            <summary>${T.origin.heading}</summary>
            <${OriginFacts} origin=${each.origin} />
          </details>
          ${
            !each.current &&
            html`<p class="buttons">
              ${current && html`<button type="button" class="small" onClick=${() => show(html`<${CompareDialog} item=${item} revisions=${data} left=${each.revision_id} right=${current.revision_id} restore=${restore} onClose=${close} />`)}>${T.revisions.compare}</button>`}
              ${restore && html`<button type="button" class="small" onClick=${() => restore(each)}>${T.revisions.restore}</button>`}
            </p>`
          }
        </li>`,
      )}
    </ol>
  `;
}

/**
 * Two revisions side by side.
 * @param {{ item: ItemName, revisions: Revision[], left: string, right: string, restore: ((revision: Revision) => void) | null, onClose: () => void }} props
 */
function CompareDialog({ item, revisions, left, right, restore, onClose }) {
  const [chosen, setChosen] = useState({ left, right });
  const { data, error, refresh } = useLive(
    `compare ${item.conceptId} ${item.type} ${chosen.left} ${chosen.right}`,
    async (signal) => {
      /** @type {SavedItem[]} */
      const contents = await Promise.all(
        [chosen.left, chosen.right].map((id) => get(["tasks", item.taskId, "content", item.type], { ...item.scope, concept_id: item.conceptId, revision_id: id }, signal)),
      );
      /** @type {typeof import("./difference.js")} */
      const difference = await loadModule("./difference.js");
      return { contents, difference };
    },
    () => null,
  );
  return html`<${Dialog} heading=${T.revisions.heading(T.types[item.type] ?? item.type)} wide=${true} onClose=${onClose}>
    <p><${Text} value=${item.name} /></p>
    <div class="fields">
      ${/** @type {const} */ (["left", "right"]).map((side) => {
        const revision = revisions.find((each) => each.revision_id === chosen[side]);
        return html`<div class="field" key=${side}>
          <label for="revision-${side}">${T.revisions[side]}</label>
          <select id="revision-${side}" value=${chosen[side]} onChange=${(/** @type {any} */ event) => setChosen({ ...chosen, [side]: event.currentTarget.value })}>
            ${revisions.map((each) => html`<option key=${each.revision_id} value=${each.revision_id} selected=${each.revision_id === chosen[side]}>${nameOf(each)}</option>`)}
          </select>
          ${
            revision &&
            html`<span class="meta"><${Text} value=${writer(revision)} />${revision.size !== null && ` · ${size(revision.size)}`}</span>
              ${restore && !revision.current && html`<span><button type="button" class="small" onClick=${() => restore(revision)}>${T.revisions.restore}</button></span>`}`
          }
        </div>`;
      })}
    </div>
    ${error && html`<${ErrorNote} error=${error} retry=${refresh} missing=${T.content.gone} />`} ${!data && !error && html`<${Loading} />`}
    ${data && html`<${Difference} key=${`${chosen.left} ${chosen.right}`} type=${item.type} ...${data} />`}
  <//>`;
}

/** @param {{ type: ContentType, contents: SavedItem[], difference: typeof import("./difference.js") }} props */
function Difference({ type, contents, difference: { sideBySide, unfolded } }) {
  const [all, setAll] = useState(false);
  if (contents.some((each) => each.content_link)) return html`<p class="note">${T.content.large}</p>`;
  const [left = [], right = []] = contents.map((each) => contentLines(type, each.content));
  const rows = sideBySide(left, right);
  if (rows.every((row) => row.same)) return html`<p class="note good" role="status">${T.revisions.same}</p>`;
  const shown = all ? rows.map(() => true) : unfolded(rows);
  const hidden = shown.filter((each) => !each).length;
  return html`
    <p class="meta" role="status">
      ${T.revisions.differences(rows.filter((row) => !row.same).length)}
      ${(hidden > 0 || all) && html` <button type="button" class="quiet" onClick=${() => setAll(!all)}>${all ? T.revisions.onlyChanged : T.revisions.showSame(hidden)}</button>`}
    </p>
    <table class="difference">
      <thead><tr><th>${T.revisions.left}</th><th>${T.revisions.right}</th></tr></thead>
      <tbody>
        ${rows.map((row, k) =>
          shown[k]
            ? html`<tr key=${k} class=${row.same ? "same" : "changed"}><${Side} pieces=${row.left} kind="del" same=${row.same} /><${Side} pieces=${row.right} kind="ins" same=${row.same} /></tr>`
            : shown[k - 1] !== false && html`<tr key=${k} class="skipped"><td colspan="2">⋯</td></tr>`,
        )}
      </tbody>
    </table>
  `;
}

/** @param {{ pieces: import("./difference.js").Piece[] | null, kind: "del" | "ins", same: boolean }} props */
function Side({ pieces, kind, same }) {
  if (pieces === null) return html`<td class="absent"></td>`;
  return html`<td class=${same ? "" : kind}><bdi>${pieces.map((piece) => (piece.changed ? (kind === "del" ? html`<del>${piece.text}</del>` : html`<ins>${piece.text}</ins>`) : piece.text))}</bdi></td>`;
}
