// Bulk retries: progress, rate, canary and the result of each task; pause, resume, cancel.

import { useState } from "./vendor/hooks.js";
import { get, post } from "./api.js";
import { Chart } from "./chart.js";
import { useRequest } from "./heal.js";
import { html } from "./html.js";
import { T, duration, moment, number, percent } from "./language.js";
import { ofOneMoment, useAnswer, useLive, usePages } from "./live.js";
import { Actor, Age, Bar, Chips, Dialog, Empty, ErrorNote, Id, Link, Loading, Pill, ReasonLine, Text, toneOf, useTitle } from "./parts.js";
import { change, href } from "./router.js";
import { UndoDialog, UndoReport, codeOf } from "./undo.js";

/** @typedef {import("./types").RecoveryAnswer & { counts: Record<"total" | (typeof RESULTS)[number], number> }} Recovery */
/** @typedef {import("./app.js").Session} Session */

/** @param {Recovery} recovery */
const isActive = ({ state }) => ["waiting", "canary", "running"].includes(state);
const RESULTS = /** @type {const} */ (["recovered", "still_failing", "refused", "running", "waiting"]);

/** @param {Recovery} recovery */
const done = ({ counts }) => counts.recovered + counts.still_failing + counts.refused;

/** @param {{ recovery: Recovery }} props */
const RecoveryBar = ({ recovery }) =>
  html`<${Bar}
    parts=${RESULTS.map((result) => [result, recovery.counts[result]])}
    total=${recovery.counts.total}
    label=${RESULTS.map((result) => `${T.recoveries.results[result]} ${recovery.counts[result]}`).join(T.comma)}
  />`;

/** @param {{ session: Session }} props */
export function RecoveriesView({ session }) {
  useTitle(T.sections.recoveries);
  /** @type {import("./live.js").Live<{ items: Recovery[] }>} */
  const { data, error, at, refresh } = useAnswer(["recoveries"], { limit: 50 }, (page) => (page?.items.some(isActive) ? 3000 : 15_000));
  return html`
    <div class="head"><h1 tabindex="-1">${T.sections.recoveries}</h1></div>
    ${(data || !error) && html`<p class="meta">${T.recoveries.intro}</p>`}
    ${error && html`<${ErrorNote} error=${error} at=${at} retry=${refresh} forbidden=${T.recoveries.notAllowed} />`}
    ${!data && !error && html`<${Loading} like="recoveries" />`}
    ${data && data.items.length === 0 && html`<${Empty}>${T.recoveries.empty} ${session.operates && T.recoveries.startOne}<//>`}
    <ul class="groups">
      ${data?.items.map(
        (recovery) => html`
          <li key=${recovery.recovery_id} class="group recovery ${toneOf(recovery.state)}">
            <div class="group-what">
              <h2><${Link} to=${href(["recoveries", recovery.recovery_id])} class="clamp"><${Text} value=${recovery.reason} /><//></h2>
              <p class="meta"><${Pill} value=${recovery.state} words=${T.recoveries.states} /> <${Actor} actor=${recovery.actor} /> · <${Age} at=${recovery.created_at} /></p>
            </div>
            <div class="group-time wide">
              <${RecoveryBar} recovery=${recovery} />
              <p class="counts">${RESULTS.slice(0, 3).map((result) => html`<span key=${result}>${T.recoveries.results[result]} <strong>${number(recovery.counts[result])}</strong></span>`)}
                <span class="meta">${T.recoveries.progress(number(done(recovery)), number(recovery.counts.total))}</span></p>
            </div>
          </li>
        `,
      )}
    </ul>
  `;
}

/** @typedef {{ recovery: Recovery, result: string | null, page: import("./types").RecoveryTaskPage }} Found */

/** A recovery and the results of its tasks, of one moment. @param {string} id @param {string | null} result @param {AbortSignal} signal @param {Found | null} previous @returns {Promise<Found>} */
async function loadRecovery(id, result, signal, previous) {
  const load = () => get(["recoveries", id], {}, signal);
  const [recovery, page] = await ofOneMoment(
    previous?.recovery ?? (await load()),
    load,
    ({ counts, undone }) => JSON.stringify([counts, undone]),
    () => get(["recoveries", id, "tasks"], { result, limit: 50 }, signal),
  );
  return { recovery, result, page };
}

/** @param {{ id: string, query: URLSearchParams, session: Session }} props */
export function RecoveryView({ id, query, session }) {
  const [asking, setAsking] = useState(/** @type {"cancel" | "undo" | null} */ (null));
  const { busy, error: refused, run } = useRequest();
  const result = query.get("result");
  const { data: found, error, at, refresh } = useLive(
    `recovery ${id}`,
    /** @type {(signal: AbortSignal, previous: Found | null) => Promise<Found>} */ ((signal, previous) => loadRecovery(id, result, signal, previous)),
    (last) => (last && isActive(last.recovery) ? 2000 : 10_000),
    String(result),
  );
  const data = found?.recovery;
  useTitle(data?.reason.slice(0, 100) ?? T.sections.recoveries);

  const close = () => {
    setAsking(null);
    refresh();
  };
  /** @param {"pause" | "resume" | "cancel"} action */
  const act = async (action) => {
    setAsking(null);
    await run(() => post(["recoveries", id, action], {}));
    refresh();
  };

  const back = html`<p><${Link} to=${href(["recoveries"])}>← ${T.recoveries.all}<//></p>`;
  if (!found || !data) {
    return html`${back}<h1 tabindex="-1"><${Id} value=${id} /></h1>
      ${error ? html`<${ErrorNote} error=${error} at=${null} retry=${refresh} missing=${T.recoveries.vanished} forbidden=${T.recoveries.notAllowed} />` : html`<${Loading} like="one" />`}`;
  }
  const active = isActive(data);
  const paused = data.state.startsWith("paused");
  const left = data.counts.waiting + data.counts.running;
  const undone = data.undone ?? null;
  const undoable = data.filter.regenerate !== undefined && data.ended_at !== null && (undone === null || undone.tasks_left > 0);
  return html`
    ${back}
    <div class="task-head">
      <h1 tabindex="-1" class="clamp3"><${Text} value=${data.reason} /></h1>
      <${Pill} value=${data.state} words=${T.recoveries.states} />
    </div>
    <p class="meta"><${Id} value=${data.recovery_id} /></p>
    ${refused && html`<${ErrorNote} error=${refused} />`} ${error && html`<${ErrorNote} error=${error} at=${at} retry=${refresh} />`}
    <div class="task-main">
      <div class="task-top">
        <div>
          <p class="saved"><strong class="big">${percent(done(data), data.counts.total)} %</strong> ${T.recoveries.progress(number(done(data)), number(data.counts.total))}</p>
          <div class="wide-bar"><${RecoveryBar} recovery=${data} /></div>
          <ul class="legend">
            ${RESULTS.filter((each) => active || paused || data.counts[each] > 0).map((each) => html`<li key=${each}><span class="swatch part-${each}"></span> ${T.recoveries.results[each]} <strong>${number(data.counts[each])}</strong></li>`)}
          </ul>
        </div>
        ${
          session.operates &&
          html`<div class="task-actions">
            ${active && html`<button type="button" disabled=${busy} onClick=${() => act("pause")}>${T.recoveries.pause}</button>`}
            ${paused && html`<button type="button" class="primary" disabled=${busy} onClick=${() => act("resume")}>${T.recoveries.resume}</button>`}
            ${(active || paused) && html`<button type="button" disabled=${busy} onClick=${() => setAsking("cancel")}>${T.recoveries.cancel}</button>`}
            ${undoable && html`<button type="button" onClick=${() => setAsking("undo")}>${undone ? T.undo.proceed : T.undo.open}</button>`}
          </div>`
        }
      </div>
    </div>
    ${data.stop_reason && html`<${StopReason} reason=${data.stop_reason} />`}
    ${data.started_at && data.progress && html`<${Ends} start=${Date.parse(data.started_at)} ended=${data.progress.ended} total=${data.counts.total} />`}
    <dl class="facts">
      <div><dt>${T.recoveries.rateLabel}</dt><dd>${T.recoveries.rate(data.rate_actual === null ? T.none : number(Math.round(data.rate_actual * 10) / 10), number(data.rate_per_minute))}</dd></div>
      ${active && left > 0 && html`<div><dt>${T.recoveries.remaining}</dt><dd>${remaining(data.progress)}</dd></div>`}
      <div><dt>${T.recoveries.canary}</dt><dd>${data.canary ? T.tasks(data.canary) : T.recoveries.noCanary}</dd></div>
      <div><dt>${T.recoveries.breaker}</dt><dd>${data.breaker ? T.recoveries.breakerOf(data.breaker) : T.recoveries.noBreaker}</dd></div>
      <div><dt>${T.recoveries.limits}</dt><dd>${T.recoveries.concurrency(number(data.concurrency))}</dd></div>
      <div><dt>${T.task.tokens}</dt><dd>${data.token_budget === null ? number(data.tokens_used) : T.task.ofBudget(number(data.tokens_used), number(data.token_budget))}</dd></div>
      <div><dt>${T.origin.by}</dt><dd><${Actor} actor=${data.actor} /></dd></div>
      <div><dt>${T.recoveries.started}</dt><dd><${Age} at=${data.started_at ?? data.created_at} /></dd></div>
      ${data.ended_at && html`<div><dt>${T.recoveries.ended}</dt><dd><${Age} at=${data.ended_at} /></dd></div>`}
      <div><dt>${T.recoveries.filter}</dt><dd><${Text} value=${filterText(data.filter)} class="clamp3" /></dd></div>
    </dl>
    ${undone && html`<${UndoReport} id=${id} counts=${undone} />`}
    <${Results} id=${id} undone=${data.undone} result=${result} page=${found.result === result ? found.page : null} refresh=${refresh} />
    ${asking === "undo" && html`<${UndoDialog} id=${id} begun=${undone} onClose=${close} />`}
    ${
      asking === "cancel" &&
      html`<${Dialog} heading=${T.recoveries.cancel} onClose=${() => setAsking(null)}>
        <p>${T.recoveries.cancelText}</p>
        <div class="actions">
          <button type="button" class="danger" onClick=${() => act("cancel")}>${T.recoveries.cancel}</button>
          <button type="button" onClick=${() => setAsking(null)}>${T.heal.keep}</button>
        </div>
      <//>`
    }
  `;
}

/** From the faster to the slower measured speed, in whole minutes. @param {Recovery["progress"]} progress */
function remaining(progress) {
  const [least = "", most = ""] = [progress?.least_seconds, progress?.most_seconds].map((seconds) => (seconds == null ? "" : duration(60 * Math.ceil(seconds / 60))));
  if (!most) return T.recoveries.tooEarly;
  return least === most ? most : T.recoveries.between(least, most);
}

/** The tasks that had ended, over time. @param {{ start: number, ended: [string, number][], total: number }} props */
function Ends({ start, ended, total }) {
  const columns = ended.map(([at, count], k) => {
    const [from, to] = [Date.parse(ended[k - 1]?.[0] ?? "") || start, Date.parse(at)];
    return { from, to, parts: /** @type {[string, number][]} */ ([["S", count]]), text: moment(to) + T.colon + T.recoveries.progress(number(count), number(total)) };
  });
  return columns.length > 1 && html`<${Chart} label=${T.recoveries.endedOverTime} columns=${columns} gap=${0} />`;
}

/** A breaker names the failure group that the last failed tasks have in common. @param {{ reason: string }} props */
function StopReason({ reason }) {
  const [, group, failure = ""] = /same failure group (\w+): (.+)$/s.exec(reason) ?? [];
  return html`<div class="note warn">
    <p><strong>${T.recoveries.stopReason}${T.colon}</strong> ${T.recoveries.stopText(reason) ?? html`<${Text} value=${reason} />`}</p>
    ${group && html`<p><${ReasonLine} ...${codeOf(failure)} /></p><p><${Link} to=${href(["tasks"], { group_id: group })}>${T.failures.showTasks}<//></p>`}
  </div>`;
}

/** @param {Recovery["filter"]} filter */
function filterText({ regenerate, all_missing: all, ...filter }) {
  const parts = Object.entries({ ...filter, ...regenerate })
    .filter(([, value]) => value !== null && value !== undefined && value.length > 0)
    .map(([name, value]) => `${T.filters[name] ?? name}${T.colon}${Array.isArray(value) ? (value.length > 3 ? number(value.length) : value.map(valueText).join(T.comma)) : /_(after|before)$/.test(name) ? moment(value) : valueText(value)}`);
  return [regenerate && T.recoveries.regenerates, parts.join(" · ") || T.all, all && T.filters.all_missing].filter(Boolean).join(" · ");
}

/** @param {string} value */
const valueText = (value) => T.status[value] ?? T.types[value] ?? value;

/** @param {{ id: string, undone: Recovery["undone"], result: string | null, page: Found["page"] | null, refresh: () => void }} props */
function Results({ id, undone, result, page, refresh }) {
  const { rows, more } = usePages(`${result} ${undone?.tasks_left}`, page, (cursor) => get(["recoveries", id, "tasks"], { result, limit: 50, cursor }), refresh);
  return html`
    <section aria-labelledby="results-heading">
      <div class="head">
        <h2 id="results-heading">${T.recoveries.tasks}</h2>
        <${Chips}
          label=${T.recoveries.tasks}
          options=${[null, ...RESULTS].map((each) => [each, each ? T.recoveries.results[each] : T.all])}
          chosen=${result}
          choose=${(/** @type {string | null} */ each) => change({ result: each }, { replace: true })}
        />
      </div>
      ${!page && html`<${Loading} />`} ${page && rows.length === 0 && html`<${Empty}>${T.recoveries.noTasks}<//>`}
      ${
        rows.length > 0 &&
        html`<table class="cards">
          <thead>
            <tr><th>${T.tasksView.status}</th><th>${T.sections.tasks}</th><th>${T.heal.reason}</th><th class="right">${T.task.updated}</th></tr>
          </thead>
          <tbody>
            ${rows.map(
              (each) => html`<tr key=${each.task_id}>
                <td class="status">
                  <${Pill} value=${each.result} words=${T.recoveries.results} />
                  ${each.canary && html`<span class="meta"> ${T.recoveries.isCanary}</span>`}
                </td>
                <td class="main">
                  <${Link} to=${href(["tasks", each.task_id])} class="clamp"><${Text} value=${each.title || T.tasksView.untitled} /><//>
                  <span class="meta block clamp"><${Id} value=${each.task_id} /></span>
                </td>
                <td class="reason">
                  ${each.reason && html`<${ReasonLine} ...${codeOf(each.reason)} />`}
                  ${each.undone && html`<span class="meta block">${T.undo.ofTask(each.undone.restored, each.undone.left_alone.length)}</span>`}
                </td>
                <td class="right age">${each.ended_at ? html`<${Age} at=${each.ended_at} />` : each.started_at && html`<span class="meta">${T.recoveries.started} <${Age} at=${each.started_at} /></span>`}</td>
              </tr>`,
            )}
          </tbody>
        </table>`
      }
      ${more}
    </section>
  `;
}
