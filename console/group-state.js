// The dialog of a failure group: its history, and the decision about it.

import { useState } from "./vendor/hooks.js";
import { get, put } from "./api.js";
import { useRequest } from "./heal.js";
import { html } from "./html.js";
import { T } from "./language.js";
import { useLive } from "./live.js";
import { Actor, Age, Dialog, ErrorNote, Link, Loading, Pill, Text, ofTypes } from "./parts.js";
import { href } from "./router.js";

/** @typedef {import("./types").FailureGroupDetail} GroupDetail */

const DECISIONS = ["acknowledged", "ignored", "resolved", "new"];

/** @param {{ id: string, operates: boolean, onClose: () => void, onDone: () => void }} props */
export function GroupDialog({ id, operates, onClose, onDone }) {
  const { data, error, refresh } = useLive(
    `group ${id}`,
    /** @type {(signal: AbortSignal) => Promise<GroupDetail>} */ ((signal) => get(["failures", id], {}, signal)),
    () => 30_000,
  );
  return html`
    <${Dialog} heading=${operates ? T.failures.decideHeading : T.failures.history} onClose=${onClose}>
      ${error && html`<${ErrorNote} error=${error} retry=${refresh} />`} ${!data && !error && html`<${Loading} />`}
      ${
        data &&
        html`<p>${ofTypes(data.by_type)} · ${T.stages[data.stage] ?? data.stage} · <code>${data.error_code}</code></p>
          <${History} group=${data} />`
      }
      ${data && operates && html`<${Decision} id=${id} onClose=${onClose} onDone=${onDone} />`}
    <//>
  `;
}

/** @param {{ group: GroupDetail }} props */
function History({ group }) {
  const entries = [
    ...group.changes.map((change) => ({ ...change, recovery: null })),
    ...group.recoveries.map((recovery) => ({ at: recovery.created_at, actor: recovery.actor, recovery })),
  ].sort((one, other) => other.at.localeCompare(one.at));
  if (entries.length === 0) return html`<p class="meta">${T.failures.noHistory}</p>`;
  return html`<ul class="group-history">
    ${entries.map(
      (each) =>
        html`<li key=${each.at}>
          ${
            each.recovery
              ? html`<${Pill} value=${each.recovery.state} words=${T.recoveries.states} />
                  <${Link} to=${href(["recoveries", each.recovery.recovery_id])}><${Text} value=${each.recovery.reason} class="clamp" /><//>`
              : html`<${Pill} value=${each.state} words=${T.failures.states} /> <${Text} value=${each.note} class="clamp3" /> ${each.until_tasks && T.failures.until(T.tasks(each.until_tasks))}
                  <${Age} at=${each.until} />`
          }
          <span class="meta"><${Actor} actor=${each.actor} /> · <${Age} at=${each.at} /></span>
        </li>`,
    )}
  </ul>`;
}

/** @param {{ id: string, onClose: () => void, onDone: () => void }} props */
function Decision({ id, onClose, onDone }) {
  const [state, setState] = useState("acknowledged");
  const [note, setNote] = useState("");
  const [tasks, setTasks] = useState("");
  const change = useRequest();

  /** @param {Event} event */
  const save = async (event) => {
    event.preventDefault();
    const limit = state === "ignored" && tasks ? { until_tasks: Number(tasks) } : {};
    if (await change.run(() => put(["failures", id], { state, note, ...limit }))) onDone();
  };
  return html`
    <form onSubmit=${save}>
      <div class="field">
        <label for="decision">${T.failures.decision}</label>
        <select id="decision" value=${state} aria-describedby="decision-help" onChange=${(/** @type {any} */ event) => setState(event.currentTarget.value)}>
          ${DECISIONS.map((each) => html`<option key=${each} value=${each} selected=${each === state}>${T.failures.decisions[each]}</option>`)}
        </select>
        <span id="decision-help" class="meta">${T.failures.decideHelp}</span>
      </div>
      <div class="field">
        <label for="note">${T.failures.note}</label>
        <textarea id="note" rows="2" maxlength="500" required value=${note} onInput=${(/** @type {any} */ event) => setNote(event.currentTarget.value)}></textarea>
      </div>
      ${
        state === "ignored" &&
        html`<div class="field">
          <label for="until-tasks">${T.failures.untilTasks}</label>
          <input id="until-tasks" type="number" inputmode="numeric" min="1" aria-describedby="until-help" value=${tasks} onInput=${(/** @type {any} */ event) => setTasks(event.currentTarget.value)} />
          <span id="until-help" class="meta">${T.failures.untilTasksHelp}</span>
        </div>`
      }
      ${change.error && html`<${ErrorNote} error=${change.error} />`}
      <div class="actions"><button type="submit" class="primary" disabled=${change.busy || !note.trim()}>${T.failures.save}</button>
        <button type="button" onClick=${onClose}>${T.cancel}</button></div>
    </form>
  `;
}

/** The decision about a group in a list, and its author. @param {{ group: import("./types").FailureGroup }} props */
export const StateLine = ({ group }) =>
  group.state_by &&
  html`<p class="meta">
    ${group.ignored_until_tasks !== null && html` ${T.failures.until(T.tasks(group.ignored_until_tasks))}`}
    <${Actor} actor=${group.state_by} /> · <${Age} at=${group.state_at} />
    ${group.note && html`<${Text} value=${group.note} class="clamp block" />`}
  </p>`;
