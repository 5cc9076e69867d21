// Current failures, grouped by cause: count, times, the action of the next attempt, and whether a person must act.

import { useState } from "./vendor/hooks.js";
import { get } from "./api.js";
import { Chart, byHours } from "./chart.js";
import { GroupDialog, StateLine } from "./group-state.js";
import { RecoveryDialog } from "./heal.js";
import { html } from "./html.js";
import { T, number } from "./language.js";
import { useAnswer, useLive } from "./live.js";
import { Age, Chips, Empty, ErrorNote, Id, Link, Loading, Next, Pill, ReasonLine, Recorded, Remedy, ofTypes, useTitle } from "./parts.js";
import { change, href } from "./router.js";
import { filterOf } from "./view-tasks.js";

/** @typedef {import("./types").FailureGroup} FailureGroup */

const RINGING = ["new", "regressed"];

/** @param {{ query: URLSearchParams, session: import("./app.js").Session }} props */
export function FailuresView({ query, session }) {
  const filter = filterOf(query);
  const [healing, setHealing] = useState(/** @type {FailureGroup | null} */ (null));
  const [deciding, setDeciding] = useState(/** @type {FailureGroup | null} */ (null));
  const ringing = session.sees && query.get("ringing") !== null;
  useTitle(T.sections.failures);
  /** @type {import("./live.js").Live<import("./types").FailurePage>} */
  const { data, error, at, refresh } = useAnswer(["failures"], { ...filter, ...(ringing ? { state: RINGING } : {}), limit: 100 }, () => 10_000);
  const days = query.get("days") === "7" ? 7 : 1;
  const { data: history } = useLive(
    `failure hours ${days}`,
    /** @type {(signal: AbortSignal) => Promise<import("./types").FailureHistory | null>} */ (
      async (signal) => (session.sees ? get(["failure-hours"], { days }, signal) : null)
    ),
    () => 60_000,
  );
  const whole = !ringing && Object.keys(filter).length === 0;
  const groups = data?.items ?? [];
  const allNew = groups.every((group) => group.state === "new");
  const head = html`<div class="head"><h1 tabindex="-1">${T.sections.failures}</h1></div>`;
  if (error && !data) return html`${head}<${ErrorNote} error=${error} at=${null} retry=${refresh} />`;
  return html`
    ${head}
    <p class="meta">${session.operates ? T.failures.introOperator : T.failures.intro}</p>
    ${
      session.sees &&
      whole &&
      html`<${Chips} label=${T.failures.period} options=${[1, 7].map((each) => [each, T.failures.days(each)])} chosen=${days} choose=${(/** @type {number} */ each) => change({ days: each === 1 ? null : "7" }, { replace: true })} />`
    }
    ${(groups.length > 0 || (whole && history && history.hours.length > 0)) && html`<${Hours} groups=${groups} history=${whole ? history : null} days=${whole ? days : 1} />`}
    ${
      session.sees &&
      (ringing || data?.items.length !== 0) &&
      html`<${Chips}
        label=${T.failures.ringing}
        options=${[[false, T.failures.allStates], [true, T.failures.ringing]]}
        chosen=${ringing}
        choose=${(/** @type {boolean} */ only) => change({ ringing: only ? "yes" : null }, { replace: true })}
      />`
    }
    ${error && html`<${ErrorNote} error=${error} at=${at} retry=${refresh} />`}
    ${!data && html`<${Loading} like="groups" />`}
    ${data && data.items.length === 0 && html`<${Empty}>${Object.keys(filter).length || ringing ? T.failures.noMatch : T.failures.empty}<//>`}
    <ul class="groups" tabindex="-1">
      ${groups.map(
        (group) => html`
          <li key=${group.group_id} class="group cause ${group.turn.who === "person" ? "warn" : ""}">
            <div class="group-count">
              <strong class="big">${number(group.items)}</strong>
              <span class="meta">${T.failures.counts(group.items, T.tasks(group.tasks))}</span>
            </div>
            <div class="group-what">
              <h2><${ReasonLine} code=${group.error_code} reason=${group.example?.reason ?? group.reason} /></h2>
              <p class="meta">${!allNew && html`<${Pill} value=${group.state} words=${T.failures.states} /> `}${ofTypes(group.by_type)} · ${T.stages[group.stage] ?? group.stage} · <code>${group.error_code}</code></p>
              ${(group.remedy !== "person" || group.turn.who === "person") && html`<${Remedy} code=${group.error_code} action=${group.remedy} text=${group.remedy_text} />`}
              ${(group.remedy !== "person" || group.turn.who !== "person" || group.turn.recovery_id) && html`<${Next} turn=${session.sees || group.turn.who !== "person" || group.turn.recovery_id ? group.turn : { ...group.turn, why: "Retry it." }} />`}
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
                  ${T.failures.example}${T.colon}<${Link} to=${href(["tasks", group.example.task_id], { item: group.example.concept_id, type: group.example.content_type })}><${Id} value=${group.example.concept_id} /><//>
                </p>`
              }
              <${Recorded} code=${group.error_code} reason=${group.example?.reason ?? group.reason} />
            </div>
          </li>
        `,
      )}
    </ul>
    ${whole && history && history.healed.length > 0 && html`<${Healed} groups=${history.healed} />`}
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
        scope=${`${T.heal.scopeGroup}${T.colon}${healing.error_code}${T.comma}${ofTypes(healing.by_type)}`}
        onClose=${() => setHealing(null)}
      />`
    }
  `;
}

/**
 * What failed in a day or a week, and what of it has healed since. An owner sees what is missing of the own tasks.
 * @param {{ groups: FailureGroup[], history: import("./types").FailureHistory | null, days: number }} props
 */
function Hours({ groups, history, days }) {
  const rows = history?.hours ?? groups.flatMap((group) => group.by_hour.map(([hour, items]) => ({ hour, failed: items, still: items })));
  const columns = byHours(rows, days === 1 ? 24 : 28, days === 1 ? 1 : 6, [
    ["F", T.failures.still, ({ still }) => still],
    ["healed", T.failures.healed, ({ failed, still }) => failed - still],
  ]);
  return html`<${Chart} label=${T.failures.overTime(days === 1 ? 1 : 6)} columns=${columns} names=${[["F", T.failures.still], ["healed", T.failures.healed]]} />`;
}

/** The groups that failed in the period and have no failure now. @param {{ groups: import("./types").HealedGroup[] }} props */
const Healed = ({ groups }) => html`
  <h2>${T.failures.healedHeading}</h2>
  <ul class="healed">
    ${groups.map(
      (group) => html`<li key=${group.group_id}>
        <p><strong>${number(group.failed)}</strong> <span class="meta">${T.failures.failedThen}</span></p>
        <h3><${ReasonLine} code=${group.error_code} reason=${group.reason} /></h3>
        <p class="meta">${T.failures.healedBy(group.automatically, group.by_recovery, group.by_person)}</p>
        <p class="meta">${T.failures.last} <${Age} at=${group.last_seen} /></p>
      </li>`,
    )}
  </ul>
`;
