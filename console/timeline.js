// An attempt on a time axis. One path for each kind of phase, so that 400 batches take as many nodes as ten.
// Loaded when somebody opens it.

import { useMemo, useState } from "./vendor/hooks.js";
import { get } from "./api.js";
import { html } from "./html.js";
import { T, duration, moment, number, percent } from "./language.js";
import { useLive } from "./live.js";
import { ErrorNote, Loading } from "./parts.js";

/** @typedef {import("./types").Timeline} Found */
/** @typedef {import("./types").TimelinePhase} Phase */
/** @typedef {import("./types").TimelineBatch} Batch */
/** @typedef {import("./app.js").Session} Session */

const WIDTH = 1000;
const STEPS = 14; // the height of the row of steps
const MOST_HEIGHT = 240;
const MOST_ROWS = 40;
const WAITS = ["throttled", "retry", "stopped"];

/** The kinds that have a colour of their own; the others wait. @type {Record<string, string>} */
const TONES = {
  plan: "step",
  batches: "step",
  finalize: "step",
  generate: "make",
  working: "make",
  save: "keep",
  saved: "keep",
  throttled: "throttle",
  stopped: "stop",
  retry: "again",
  redriven: "again",
};

/** @param {{ id: string, attempt: number, session: Session, running: boolean }} props */
export function Timeline({ id, attempt, session, running }) {
  const { data, error, refresh } = useLive(
    `timeline ${id} ${attempt} ${running}`,
    /** @type {(signal: AbortSignal) => Promise<Found>} */ (
      (signal) => get(["tasks", id, "attempts", String(attempt), "timeline"], session.scope(), signal)
    ),
    () => (running ? 15_000 : null),
  );
  if (!data) return error ? html`<${ErrorNote} error=${error} retry=${refresh} />` : html`<${Loading} />`;
  return html`<${Axis} timeline=${data} retry=${refresh} />`;
}

/** @param {{ timeline: Found, retry: () => void }} props */
function Axis({ timeline, retry }) {
  const drawn = useMemo(() => drawing(timeline), [timeline]);
  const note = T.timeline.history[timeline.history];
  return html`
    ${note && html`<p class="meta">${note} ${timeline.history === "unavailable" && html`<button type="button" class="quiet" onClick=${retry}>${T.tryAgain}</button>`}</p>`}
    <svg class="axis" viewBox="0 0 ${WIDTH} ${drawn.height}" height=${drawn.height} preserveAspectRatio="none" role="img" aria-label=${summary(timeline, drawn)}>
      <defs>
        <pattern id="hatch-${timeline.attempt}" width="6" height="6" patternUnits="userSpaceOnUse"><path d="M0 6L6 0" class="hatch" /></pattern>
      </defs>
      ${drawn.paths.map(([tone, path]) => html`<path key=${tone} class="phase ${tone}" d=${path} />`)}
      ${drawn.hatched && html`<path d=${drawn.hatched} fill="url(#hatch-${timeline.attempt})" />`}
      ${drawn.marks && html`<path class="lost-mark" d=${drawn.marks} />`}
    </svg>
    <p class="axis-scale meta" aria-hidden="true"><span>${moment(timeline.claimed_at)}</span><span>${duration(drawn.seconds / 2)}</span><span>${duration(drawn.seconds)}</span></p>
    <ul class="axis-legend">
      ${drawn.kinds.map(([tone, kinds]) => html`<li key=${tone}><span class="swatch ${tone}" aria-hidden="true"></span>${kinds.map((kind) => T.timeline.kinds[kind] ?? kind).join(T.timeline.and)}</li>`)}
      ${timeline.lost > 0 && html`<li key="lost"><span class="swatch lost" aria-hidden="true">✕</span>${T.timeline.outcomes.lost}</li>`}
    </ul>
    <p><strong>${T.timeline.longest}</strong>${" "}${spent(timeline, drawn.seconds)}</p>
    ${
      timeline.batches.length > 0 &&
      html`<p>${T.timeline.batches(timeline.batches.length)}${counted(timeline)}</p>`
    }
    <${Table} timeline=${timeline} end=${drawn.end} />
  `;
}

/** The same as a table, drawn when it is opened. @param {{ timeline: Found, end: number }} props */
function Table({ timeline, end }) {
  const [open, setOpen] = useState(false);
  const start = Date.parse(timeline.claimed_at);
  /** @param {string | null} at */
  const since = (at) => (at === null ? T.none : duration((Date.parse(at) - start) / 1000));
  /** @param {string | null} from @param {string | null} to */
  const length = (from, to) => (from === null ? T.none : duration(((to === null ? end : Date.parse(to)) - Date.parse(from)) / 1000));
  const shown = open ? notable(timeline.batches, end) : [];
  const path = timeline.longest_path.slice(0, MOST_ROWS);
  return html`<details onToggle=${(/** @type {any} */ event) => {
    event.stopPropagation();
    setOpen(event.currentTarget.open);
  }}>
    <summary>${T.timeline.table}</summary>
    ${
      open &&
      html`<div class="axis-table" tabindex="0" role="region" aria-label=${T.timeline.table}>
        <table>
          <caption>${T.timeline.longest.slice(0, -1)}${path.length < timeline.longest_path.length && ` (${T.timeline.first(path.length, timeline.longest_path.length)})`}</caption>
          <thead><tr><th scope="col">${T.timeline.what}</th><th scope="col">${T.timeline.at}</th><th scope="col">${T.timeline.takes}</th></tr></thead>
          <tbody>${path.map((part, row) => html`<tr key=${row}>
            <td>${T.timeline.kinds[part.kind] ?? part.kind}${part.batch !== null && ` · ${T.timeline.batch(part.batch)}`}${part.tries > 1 && ` · ${T.timeline.calls(part.tries)}`}${part.error && html` <code>${part.error}</code>`}</td>
            <td>${since(part.started_at)}</td><td>${length(part.started_at, part.ended_at)}</td>
          </tr>`)}</tbody>
        </table>
        ${
          shown.length > 0 &&
          html`<table>
            <caption>${T.timeline.batches(timeline.batches.length)}${shown.length < timeline.batches.length && ` (${T.timeline.slowest(shown.length)})`}</caption>
            <thead><tr><th scope="col">${T.timeline.what}</th><th scope="col">${T.timeline.at}</th><th scope="col">${T.timeline.takes}</th><th scope="col">${T.timeline.waited}</th></tr></thead>
            <tbody>${shown.map((batch, row) => html`<tr key=${row}>
              <td>${T.timeline.batch(batch.batch)} · ${T.timeline.outcomes[batch.outcome] ?? batch.outcome}</td>
              <td>${since(batch.started_at ?? batch.ended_at)}</td><td>${length(batch.started_at, batch.ended_at)}</td>
              <td>${batch.phases.filter((phase) => WAITS.includes(phase.kind)).map((phase) => `${T.timeline.kinds[phase.kind]} ${T.timeline.calls(phase.tries)}`).join(", ")}</td>
            </tr>`)}</tbody>
          </table>`
        }
      </div>`
    }
  </details>`;
}

/** Lost and failed batches, then the longest. @param {Batch[]} batches @param {number} end */
function notable(batches, end) {
  const fine = (/** @type {Batch} */ batch) => (batch.outcome === "saved" || batch.outcome === "ended" ? 1 : 0);
  const length = (/** @type {Batch} */ batch) => (batch.started_at === null ? 0 : time(batch.ended_at, end) - Date.parse(batch.started_at));
  return [...batches].sort((one, other) => fine(one) - fine(other) || length(other) - length(one)).slice(0, MOST_ROWS);
}

/** @param {string | null} at @param {number} end */
const time = (at, end) => (at === null ? end : Date.parse(at));

/**
 * The shapes: the steps in the first row, below it the batches, each in the first row that is free.
 * @param {Found} timeline
 */
function drawing(timeline) {
  const start = Date.parse(timeline.claimed_at);
  const end = timeline.ended_at === null ? Math.max(Date.now(), start + 1000) : Math.max(Date.parse(timeline.ended_at), start + 1);
  const scale = WIDTH / (end - start);
  const x = (/** @type {number} */ at) => Math.round(Math.max(0, Math.min(1, (at - start) / (end - start))) * WIDTH * 10) / 10;
  const longest = new Set(timeline.longest_path.filter((part) => part.batch !== null).map((part) => `${part.batch} ${part.started_at}`));

  /** @type {number[]} the end of the last batch in each row */
  const rows = [];
  const placed = timeline.batches
    .map((batch) => ({ batch, from: Date.parse(batch.started_at ?? batch.ended_at ?? timeline.claimed_at), to: time(batch.ended_at, end) }))
    .sort((one, other) => one.from - other.from)
    .map((each) => {
      let row = rows.findIndex((busy) => busy <= each.from);
      if (row < 0 || each.batch.started_at === null) row = each.batch.started_at === null ? 0 : rows.length;
      rows[row] = each.to;
      return { ...each, row };
    });
  const pitch = Math.max(3, Math.min(12, MOST_HEIGHT / Math.max(1, rows.length)));
  const gap = pitch > 5 ? 2 : 1;
  const top = STEPS + 6;

  /** @type {Map<string, string[]>} */
  const paths = new Map();
  /** @type {string[]} */
  const hatched = [];
  /** @type {string[]} */
  const marks = [];
  /** @type {Map<string, Set<string>>} */
  const kinds = new Map();
  /** @param {string} kind @param {number} from @param {number} to @param {number} y @param {number} height @param {boolean} [pale] */
  const add = (kind, from, to, y, height, pale = false) => {
    const left = x(from);
    const width = Math.max(1, Math.round((x(to) - left) * 10) / 10);
    const shape = `M${left} ${y}h${width}v${height}h${-width}z`;
    const tone = TONES[kind] ?? "wait";
    const name = pale ? `${tone} pale` : tone;
    const known = paths.get(name);
    if (known) known.push(shape);
    else paths.set(name, [shape]);
    if (tone === "throttle") hatched.push(shape);
    kinds.set(tone, (kinds.get(tone) ?? new Set()).add(kind));
  };
  for (const phase of timeline.phases) add(phase.kind, Date.parse(phase.started_at), time(phase.ended_at, end), 0, STEPS);
  for (const { batch, from, to, row } of placed) {
    const y = top + row * pitch;
    const height = pitch - gap;
    if (batch.started_at === null) {
      add("saved", to, to, y, height);
      continue;
    }
    for (const phase of batch.phases) {
      const pale = !longest.has(`${batch.batch} ${phase.started_at}`);
      add(phase.kind, Date.parse(phase.started_at), time(phase.ended_at, end), y, height, pale);
    }
    if (batch.outcome === "lost") {
      const [left, width] = [x(from), Math.max(8, x(to) - x(from))];
      marks.push(`M${left} ${y}l${width} ${height}h${-width}l${width} ${-height}h${-width}v${height}h${width}v${-height}`);
    }
  }
  for (const at of timeline.redriven_at) add("redriven", Date.parse(at), Date.parse(at) + 2 / scale, 0, top + rows.length * pitch);
  return {
    paths: [...paths].sort(([one], [other]) => Number(other.endsWith("pale")) - Number(one.endsWith("pale"))).map(([kind, shapes]) => /** @type {[string, string]} */ ([kind, shapes.join("")])),
    hatched: hatched.join(""),
    marks: marks.join(""),
    height: Math.ceil(top + rows.length * pitch),
    kinds: [...kinds].map(([tone, names]) => /** @type {[string, string[]]} */ ([tone, [...names]])),
    seconds: (end - start) / 1000,
    end,
  };
}

/** Where the time of the longest path went, the longest part first. @param {Found} timeline @param {number} seconds */
function spent(timeline, seconds) {
  const end = Date.parse(timeline.claimed_at) + seconds * 1000;
  /** @type {Map<string, number>} */
  const sums = new Map();
  for (const part of timeline.longest_path) {
    const length = (time(part.ended_at, end) - Date.parse(part.started_at)) / 1000;
    sums.set(part.kind, (sums.get(part.kind) ?? 0) + length);
  }
  return [...sums]
    .sort(([, one], [, other]) => other - one)
    .map(([kind, length]) => `${T.timeline.kinds[kind] ?? kind} ${duration(length)} (${percent(length, seconds)} %)`)
    .join(T.timeline.and);
}

/** The numbers of the batches that were not simply saved, and of waits. @param {Found} timeline */
function counted(timeline) {
  const parts = [
    [timeline.lost, T.timeline.outcomes.lost],
    [timeline.batches.filter((batch) => batch.outcome === "failed").length, T.timeline.outcomes.failed],
    [timeline.throttled, T.timeline.kinds.throttled],
    [timeline.retried, T.timeline.kinds.retry],
  ];
  return parts.map(([count, name]) => (count ? ` · ${name} ${number(Number(count))}` : "")).join("");
}

/** @param {Found} timeline @param {{ seconds: number }} drawn */
const summary = (timeline, drawn) => `${T.timeline.heading}: ${duration(drawn.seconds)}. ${T.timeline.longest} ${spent(timeline, drawn.seconds)}. ${T.timeline.batches(timeline.batches.length)}${counted(timeline)}`;
