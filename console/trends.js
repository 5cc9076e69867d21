// The health by hour: attempts that ended, and items that failed. Loaded when the page of the health is shown.

import { get } from "./api.js";
import { html } from "./html.js";
import { T, ago, moment, number } from "./language.js";
import { useLive } from "./live.js";
import { Hours, hourOf, lastHours } from "./view-failures.js";

export const Trends = () => html`<div class="columns trends"><${EndTrend} /><${FailureTrend} /></div>`;

const OUTCOMES = ["completed", "partial_failure", "failed", "cancelled"];

/** The attempts that ended, by hour: whether work gets done, and since when it does not. */
function EndTrend() {
  const { data } = useLive(
    "ends by hour",
    /** @type {(signal: AbortSignal) => Promise<import("./types").Health>} */ ((signal) => get(["health"], { by_hour: true }, signal)),
    () => 60_000,
  );
  const hours = data?.ended_by_hour ?? [];
  if (hours.length === 0) return null;
  const byHour = new Map(hours.map(({ hour, outcomes }) => [hourOf(hour), outcomes]));
  const counts = OUTCOMES.map((outcome) => hours.reduce((sum, { outcomes }) => sum + (outcomes[outcome] ?? 0), 0));
  /** @param {Record<string, number>} outcomes */
  const total = (outcomes) => OUTCOMES.reduce((sum, outcome) => sum + (outcomes[outcome] ?? 0), 0);
  const most = Math.max(1, ...hours.map(({ outcomes }) => total(outcomes)));
  /** @param {Record<string, number>} outcomes */
  const words = (outcomes) =>
    OUTCOMES.filter((outcome) => outcomes[outcome])
      .map((outcome) => `${T.task.outcomes[outcome]} ${number(outcomes[outcome] ?? 0)}`)
      .join(", ");
  const label = [...byHour].map(([hour, outcomes]) => T.failures.inHour(words(outcomes), moment(hour))).join("; ");
  return html`<section class="trend">
    <h2>${T.health.ends}</h2>
    <svg class="hours ends" width="196" height="36" viewBox="0 0 196 36" role="img" aria-label=${`${T.health.ends}: ${label}`}>
      <path class="axis" d="M2 34.5H194" />
      ${lastHours().map((hour, k) => {
        const outcomes = byHour.get(hour);
        if (!outcomes) return null;
        let top = 34;
        return html`<g key=${hour}><title>${T.failures.inHour(words(outcomes), moment(hour))}</title>${OUTCOMES.map((outcome) => {
          const count = outcomes[outcome] ?? 0;
          const height = (32 * count) / most;
          top -= height;
          return count > 0 && html`<rect key=${outcome} class="end-${outcome}" x=${2 + 8 * k} y=${top.toFixed(2)} width="6" height=${height.toFixed(2)} />`;
        })}</g>`;
      })}
    </svg>
    <${HourScale} />
    <ul class="legend">
      ${OUTCOMES.map((outcome, k) => counts[k] !== 0 && html`<li key=${outcome}><span class="swatch end-${outcome}" aria-hidden="true"></span> ${T.task.outcomes[outcome]} <strong>${number(counts[k] ?? 0)}</strong></li>`)}
    </ul>
  </section>`;
}

/** The current failures by the hour in which they occurred. */
function FailureTrend() {
  const { data } = useLive(
    "failures by hour",
    /** @type {(signal: AbortSignal) => Promise<import("./types").Page<import("./types").FailureGroup>>} */ ((signal) => get(["failures"], { limit: 200 }, signal)),
    () => 60_000,
  );
  /** @type {Map<string, number>} */
  const byHour = new Map();
  for (const group of data?.items ?? []) for (const [hour, items] of group.by_hour) byHour.set(hour, (byHour.get(hour) ?? 0) + items);
  if (byHour.size === 0) return null;
  return html`<section class="trend">
    <h2>${T.health.failures}</h2>
    <${Hours} byHour=${[...byHour]} most=${Math.max(...byHour.values())} />
    <${HourScale} />
    <p class="meta">${T.health.failuresHelp}</p>
  </section>`;
}

const HourScale = () => {
  const [first = 0] = lastHours();
  return html`<p class="axis-scale meta" aria-hidden="true"><span>${ago(first)}</span><span>${T.health.now}</span></p>`;
};
