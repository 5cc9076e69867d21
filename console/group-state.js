// The dialog of a failure group: its history, and the decision about it.

import { useState } from "./vendor/hooks.js";
import { put } from "./api.js";
import { ReasonDialog } from "./heal.js";
import { html } from "./html.js";
import { T } from "./language.js";
import { useAnswer } from "./live.js";
import { Actor, Age, Dialog, ErrorNote, Link, Loading, Pill, Text, ofTypes } from "./parts.js";
import { href } from "./router.js";

/** @typedef {import("./types").FailureGroupDetail} GroupDetail */

const DECISIONS = ["acknowledged", "ignored", "resolved", "new"];

/** @param {{ id: string, operates: boolean, onClose: () => void, onDone: () => void }} props */
export function GroupDialog({ id, operates, onClose, onDone }) {
  /** @type {import("./live.js").Live<GroupDetail>} */
  const { data, error, refresh } = useAnswer(["failures", id], {}, () => 30_000);
  const [state, setState] = useState("acknowledged");
  const [tasks, setTasks] = useState("");
  const limit = state === "ignored" && tasks ? { until_tasks: Number(tasks) } : {};
  const past = html`
    ${error && html`<${ErrorNote} error=${error} retry=${refresh} />`} ${!data && !error && html`<${Loading} />`}
    ${
      data &&
      html`<p>${ofTypes(data.by_type)} · ${T.stages[data.stage] ?? data.stage} · <code>${data.error_code}</code></p>
        <${History} group=${data} />`
    }
  `;
  if (!operates) return html`<${Dialog} heading=${T.failures.history} onClose=${onClose}>${past}<//>`;
  return html`
    <${ReasonDialog}
      heading=${T.failures.decideHeading}
      button=${T.failures.save}
      needed=${true}
      send=${(/** @type {string} */ note) => put(["failures", id], { state, note, ...limit })}
      onClose=${onClose}
      onDone=${onDone}
    >
      ${past}
      <div class="field">
        <label for="decision">${T.failures.decision}</label>
        <select id="decision" value=${state} aria-describedby="decision-help" onChange=${(/** @type {any} */ event) => setState(event.currentTarget.value)}>
          ${DECISIONS.map((each) => html`<option key=${each} value=${each} selected=${each === state}>${T.failures.decisions[each]}</option>`)}
        </select>
        <span id="decision-help" class="meta">${T.failures.decideHelp}</span>
      </div>
      ${
        state === "ignored" &&
        html`<div class="field">
          <label for="until-tasks">${T.failures.untilTasks}</label>
          <input id="until-tasks" type="number" inputmode="numeric" min="1" aria-describedby="until-help" value=${tasks} onInput=${(/** @type {any} */ event) => setTasks(event.currentTarget.value)} />
          <span id="until-help" class="meta">${T.failures.untilTasksHelp}</span>
        </div>`
      }
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

/** The decision about a group in a list, and its author. @param {{ group: import("./types").FailureGroup }} props */
export const StateLine = ({ group }) =>
  group.state_by &&
  html`<p class="meta">
    ${group.ignored_until_tasks !== null && html` ${T.failures.until(T.tasks(group.ignored_until_tasks))}`}
    <${Actor} actor=${group.state_by} /> · <${Age} at=${group.state_at} />
    ${group.note && html`<${Text} value=${group.note} class="clamp block" />`}
  </p>`;
