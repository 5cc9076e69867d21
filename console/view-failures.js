// Current failures, grouped by cause: count, times, the action of the next attempt, and whether a person must act.

import { useState } from "./vendor/hooks.js";
import { get } from "./api.js";
import { GroupDialog, StateLine } from "./group-state.js";
import { RecoveryDialog } from "./heal.js";
import { html } from "./html.js";
import { T, moment, number } from "./language.js";
import { useLive } from "./live.js";
import { Age, Empty, ErrorNote, Id, Link, Loading, Next, Pill, ReasonLine, Recorded, Remedy, ofTypes, useTitle } from "./parts.js";
import { change, href } from "./router.js";
import { filterOf } from "./view-tasks.js";

/** @typedef {import("./types").FailureGroup} FailureGroup */

const RINGING = ["new", "regressed"];
const HOURS = 24;
const HOUR = 3_600_000;

/** @param {{ query: URLSearchParams, session: import("./app.js").Session }} props */
export function FailuresView({ query, session }) {
  const filter = filterOf(query);
  const [healing, setHealing] = useState(/** @type {FailureGroup | null} */ (null));
  const [deciding, setDeciding] = useState(/** @type {FailureGroup | null} */ (null));
  const ringing = query.get("ringing") !== null;
  useTitle(T.sections.failures);
  const { data, error, at, refresh } = useLive(
    `failures ${JSON.stringify(filter)} ${ringing}`,
    /** @type {(signal: AbortSignal) => Promise<import("./types").FailurePage>} */ (
      (signal) => get(["failures"], { ...filter, ...(ringing ? { state: RINGING } : {}), limit: 100 }, signal)
    ),
    () => 10_000,
  );
  const groups = data?.items ?? [];
  const allNew = groups.every((group) => group.state === "new");
  return html`
    <div class="head"><h1 tabindex="-1">${T.sections.failures}</h1></div>
    <p class="meta">${session.operates ? T.failures.introOperator : T.failures.intro}</p>
    ${
      (ringing || data?.items.length !== 0) &&
      html`<div class="chips" role="group" aria-label=${T.failures.ringing}>
        ${[false, true].map(
          (only) =>
            html`<button type="button" key=${only} class="chip ${ringing === only ? "on" : ""}" aria-pressed=${ringing === only} onClick=${() => change({ ringing: only ? "yes" : null }, { replace: true })}>
              ${only ? T.failures.ringing : T.failures.allStates}
            </button>`,
        )}
      </div>`
    }
    ${error && html`<${ErrorNote} error=${error} at=${data ? at : null} retry=${refresh} />`}
    ${!data && !error && html`<${Loading} like="groups" />`}
    ${groups.length > 0 && html`<${Hours} groups=${groups} />`}
    ${data && data.items.length === 0 && html`<${Empty}>${Object.keys(filter).length || ringing ? T.failures.noMatch : T.failures.empty}<//>`}
    <ul class="groups" tabindex="-1">
      ${groups.map(
        (group) => html`
          <li key=${group.group_id} class="group cause ${group.turn.who === "person" ? "person" : ""}">
            <div class="group-count">
              <strong class="big">${number(group.items)}</strong>
              <span class="meta">${T.failures.counts(group.items, T.tasks(group.tasks))}</span>
            </div>
            <div class="group-what">
              <h2><${ReasonLine} code=${group.error_code} reason=${group.example?.reason ?? group.reason} /></h2>
              <p class="meta">${!allNew && html`<${Pill} value=${group.state} words=${T.failures.states} /> `}${ofTypes(group.by_type)} · ${T.stages[group.stage] ?? group.stage} · <code>${group.error_code}</code></p>
              <${Remedy} code=${group.error_code} action=${group.remedy} text=${group.remedy_text} />
              ${group.remedy !== "person" && html`<${Next} turn=${group.turn} />`}
              <${StateLine} group=${group} />
            </div>
            <div class="group-side">
              <p class="meta"><span>${T.failures.first} <${Age} at=${group.first_seen} /></span><span>${T.failures.last} <${Age} at=${group.last_seen} /></span></p>
              <div class="group-actions">
                ${session.operates && html`<button type="button" onClick=${() => setHealing(group)}>${T.failures.heal}</button>`}
                ${session.sees && html`<button type="button" onClick=${() => setDeciding(group)}>${session.operates ? T.failures.decide : T.failures.history}</button>`}
                <${Link} to=${href(["tasks"], { group_id: group.group_id })}>${T.failures.showTasks}<//>
              </div>
            </div>
            <div class="group-more meta">
              ${
                group.example &&
                html`<p class="example">
                  ${T.failures.example}: <${Link} to=${href(["tasks", group.example.task_id], { item: group.example.concept_id, type: group.example.content_type })}><${Id} value=${group.example.concept_id} /><//>
                </p>`
              }
              <${Recorded} code=${group.error_code} reason=${group.example?.reason ?? group.reason} />
            </div>
          </li>
        `,
      )}
    </ul>
    ${
      deciding &&
      html`<${GroupDialog}
        id=${deciding.group_id}
        operates=${session.operates}
        onClose=${() => setDeciding(null)}
        onDone=${() => {
          setDeciding(null);
          refresh();
        }}
      />`
    }
    ${
      healing &&
      html`<${RecoveryDialog}
        filter=${{ group_id: healing.group_id }}
        scope=${`${T.heal.scopeGroup}: ${healing.error_code}, ${ofTypes(healing.by_type)}`}
        onClose=${() => setHealing(null)}
      />`
    }
  `;
}

/** The beginnings of the last 24 hours, in milliseconds. */
function lastHours() {
  const end = Math.floor(Date.now() / HOUR) * HOUR;
  return Array.from({ length: HOURS }, (_, k) => end - (HOURS - 1 - k) * HOUR);
}

/** The beginning of an hour, in milliseconds. @param {string} time */
const hourOf = (time) => Math.floor(Date.parse(time) / HOUR) * HOUR;

/** The failed items of all groups by hour, of the last 24 hours. @param {{ groups: FailureGroup[] }} props */
function Hours({ groups }) {
  /** @type {Map<number, number>} */
  const byHour = new Map();
  for (const group of groups) for (const [hour, items] of group.by_hour) byHour.set(hourOf(hour), (byHour.get(hourOf(hour)) ?? 0) + items);
  const bars = lastHours();
  const most = Math.max(1, ...bars.map((hour) => byHour.get(hour) ?? 0));
  const label = bars
    .filter((hour) => byHour.has(hour))
    .map((hour) => T.failures.inHour(T.items(byHour.get(hour) ?? 0), moment(hour)))
    .join("; ");
  return html`
    <figure class="hours" dir="ltr">
      <svg viewBox="0 0 480 44" preserveAspectRatio="none" role="img" aria-label=${`${T.failures.overTime}: ${label || T.none}`}>
        <path class="axis" d="M0 43.5H480" />
        ${bars.map((hour, k) => {
          const items = byHour.get(hour) ?? 0;
          const height = items ? Math.max(2, (40 * items) / most) : 0;
          return items > 0 && html`<rect key=${k} x=${20 * k + 2} y=${43 - height} width="16" height=${height}><title>${T.failures.inHour(T.items(items), moment(hour))}</title></rect>`;
        })}
      </svg>
      <figcaption class="meta"><span>${moment(bars[0] ?? 0)}</span><span>${T.failures.atMost(number(most))}</span><span>${T.justNow}</span></figcaption>
    </figure>
  `;
}
