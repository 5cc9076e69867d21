// The system: stuck and drifted tasks, undelivered events, and the tokens spent.

import { Chart, byHours } from "./chart.js";
import { html } from "./html.js";
import { T, ago, moment, number } from "./language.js";
import { useAnswer } from "./live.js";
import { Age, ByOperator, ErrorNote, Id, Link, Loading, Pill, Text, sum, useTitle } from "./parts.js";
import { href } from "./router.js";
import { safeLink } from "./markdown.js";

export function HealthView() {
  useTitle(T.sections.health);
  /** @type {import("./live.js").Live<import("./types").Health>} */
  const { data, error, at, refresh } = useAnswer(["health"], {}, () => 15_000);
  /** @type {import("./live.js").Live<import("./types").Activity>} */
  const { data: activity } = useAnswer(["health", "hours"], {}, () => 60_000);
  const ringing = data?.failure_groups_ringing ?? 0;
  // The bar above each view says that generation is stopped.
  const attention = data?.attention.filter((each) => each.what !== "generation_stopped") ?? [];
  const tiles = data ? tilesOf(data, ringing) : [];
  return html`
    <div class="head"><h1 tabindex="-1">${T.sections.health}</h1></div>
    ${error && html`<${ErrorNote} error=${error} at=${at} retry=${refresh} forbidden=${T.health.notAllowed} />`}
    ${!data && !error && html`<${Loading} like="tiles" />`}
    ${
      data &&
      html`
        ${
          (attention.length > 0 || data.status === "ok") &&
          html`<div class="note ${attention.length ? "warn" : "good"}">
            <p><strong>${attention.length ? T.health.attention : T.health.ok}</strong>${attention.length > 0 && html`<${ByOperator} />`}</p>
            ${
              attention.length > 0 &&
              html`<ul>
                ${attention.map((each) => {
                  const sentence = T.health.sentences[each.what]?.(data);
                  const url = safeLink(each.runbook);
                  const anchor = each.runbook?.split("#")[1];
                  return html`<li key=${each.what}>
                    <strong>${T.health.what[each.what] ?? each.what}</strong> ${sentence ?? html`<${Text} value=${each.text} />`}${" "}
                    ${url ? html`<a href=${url} target="_blank" rel="noopener noreferrer">${T.health.runbook} ↗</a>` : anchor && html`<${Link} to=${href(["runbook", anchor])}>${T.health.runbook}<//>`}
                    ${sentence && html`<details class="original"><summary>${T.reasonOriginal}</summary><${Text} value=${each.text} /></details>`}
                  </li>`;
                })}
              </ul>`
            }
          </div>`
        }
        <dl class="tiles health">${tiles.filter((tile) => tile.value).map((tile) => html`<${Tile} key=${tile.label} ...${tile} />`)}</dl>
        ${tiles.some((tile) => !tile.value) && html`<p class="meta zeros">${T.health.zeros(tiles.filter((tile) => !tile.value).map((tile) => tile.label).join(" · "))}</p>`}
        ${activity && html`<${Activity} hours=${activity.hours} />`}
        <h2>${T.health.sweep}</h2>
        <p>
          ${
            data.last_sweep
              ? html`<${Age} at=${data.last_sweep.at} /> · ${T.health.sweepText(number(data.last_sweep.checked), number(data.last_sweep.repaired), number(data.last_sweep.refused))}${data.last_sweep.finished ? "" : ` · ${T.health.unfinished}`}`
              : T.health.noSweep
          }
        </p>
        ${
          sum(data.tasks) > 0 &&
          html`<h2>${T.health.tasksByStatus}</h2>
            <ul class="legend">
              ${Object.entries(data.tasks).map(
                ([status, count]) =>
                  html`<li key=${status}><${Link} to=${href(["tasks"], { status })}><${Pill} value=${status} /> <strong>${data.tasks_estimated.includes(status) ? "≈ " : ""}${number(count)}</strong><//></li>`,
              )}
            </ul>`
        }
        <dl class="facts">
          <div><dt>${T.health.release}</dt><dd><${Id} value=${data.release || T.unknown} /></dd></div>
          <div><dt>${T.health.schema}</dt><dd><${Id} value=${data.schema_revision || T.unknown} /></dd></div>
        </dl>
      `
    }
  `;
}

/** What the rows of the last 24 hours say. @param {{ hours: import("./types").HourOfWork[] }} props */
const Activity = ({ hours }) => {
  /** @type {[string, [string, string, "saved" | "failed" | "spent" | "waiting" | "at_work"][]][]} */
  const charts = [
    [T.health.itemsByHour, [["S", T.task.savedCount, "saved"], ["F", T.task.failedCount, "failed"]]],
    [T.health.tokensByHour, [["T", T.task.tokens, "spent"]]],
    [T.health.waitingByHour, [["waiting", T.health.queue, "waiting"]]],
    [T.health.atWorkByHour, [["G", T.health.atWork, "at_work"]]],
  ];
  return html`
    <h2>${T.health.lastDay}</h2>
    <div class="charts">
      ${charts.map(([label, parts]) => {
        const columns = byHours(hours, 24, 1, parts.map(([kind, name, field]) => [kind, name, (row) => row[field]]));
        return html`<${Chart} key=${label} label=${label} columns=${columns} names=${parts.length > 1 ? parts : []} />`;
      })}
    </div>
  `;
};

/** Red is what somebody must act on: the sweep corrects drifted tasks. @param {import("./types").Health} data @param {number} ringing */
const tilesOf = (data, ringing) => [
  { label: T.health.groups, value: ringing, bad: true, to: href(["failures"], { ringing: "yes" }) },
  { label: T.health.stuck, help: T.health.stuckHelp, value: data.stuck_tasks, more: data.more_stuck_tasks, bad: true, to: href(["tasks"], { status: "processing" }) },
  { label: T.health.queue, help: data.queue.oldest_waiting_since ? T.health.oldest(ago(data.queue.oldest_waiting_since)) : null, value: data.queue.waiting },
  { label: data.queue.stopped_reason ? T.health.held : T.health.atWork, help: T.health.slots(number(data.queue.slots)), value: data.queue.at_work },
  { label: T.health.automatic, help: data.automatic.next_at && T.health.automaticNext(moment(data.automatic.next_at)), value: data.automatic.tasks },
  { label: T.health.recoveries, value: data.recoveries_running, to: href(["recoveries"]) },
  { label: T.health.spent, value: data.tokens_24h },
  { label: T.health.drifted, help: T.health.driftedHelp, value: data.drifted_tasks },
  { label: T.health.outbox, help: T.health.outboxHelp, value: data.outbox_waiting, more: data.more_outbox_waiting },
];

/** @param {{ label: string, help?: string | null, value: number, more?: boolean, bad?: boolean, to?: string }} props */
const Tile = ({ label, help, value, more, bad, to }) => html`
  <div class=${bad ? "bad" : ""}>
    <dt>${label}${help && html`<span class="meta block">${help}</span>`}</dt>
    <dd>${bad ? "▲ " : ""}${to ? html`<${Link} to=${to}>${number(value)}<//>` : number(value)}${more ? "+" : ""}</dd>
  </div>
`;
