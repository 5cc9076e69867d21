// The one chart: columns over time, each of parts, with an axis, a unit, and a text on hover and for screen readers.

import { html } from "./html.js";
import { T, moment, number } from "./language.js";

/** `from` and `to` are milliseconds. @typedef {{ from: number, to: number, parts: [string, number][], text: string }} Column */

const WIDTH = 480;
const HEIGHT = 48;
const HOUR = 3_600_000;

/** @param {Column} column */
const total = ({ parts }) => parts.reduce((all, [, count]) => all + count, 0);

/**
 * One column needs no picture: its text is shown. `names` are the parts with their names, for the legend.
 * @param {{ label: string, columns: Column[], names?: [string, string][], gap?: number }} props `gap`: of the pixels that
 * each column has at least, however short it is
 */
export function Chart({ label, columns, names = [], gap = 2 }) {
  const text = columns.filter(total).map((each) => each.text).join("; ") || T.none;
  if (columns.filter(total).length < 2) return html`<p class="meta chart"><strong>${label}</strong> ${text}</p>`;
  const start = columns[0]?.from ?? 0;
  const end = Math.max(...columns.map(({ to }) => to));
  const most = Math.max(...columns.map(total));
  const least = gap + 4;
  const scale = (WIDTH - least * columns.length) / Math.max(1, end - start);
  return html`
    <figure class="chart">
      <figcaption class="meta"><strong>${label}</strong> ${names.map(([kind, name]) => html`<span key=${kind}><span class="swatch state-${kind}"></span> ${name}</span>`)}</figcaption>
      <div class="plot meta" dir="ltr">
        <span class="most">${number(most)}</span><span class="least">0</span>
        <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label=${label + T.colon + text}>
          <path class="axis" d="M0 0.5H${WIDTH}M0 ${HEIGHT - 0.5}H${WIDTH}" />
          ${columns.map((column, k) => {
            const place = { x: (column.from - start) * scale + least * k, width: Math.max(least, (column.to - column.from) * scale + least) - gap };
            let top = HEIGHT;
            return html`<g key=${k}>
              <title>${column.text}</title>
              <rect class="hover" ...${place} y="0" height=${HEIGHT} />
              ${column.parts.map(([kind, count]) => {
                const tall = count && Math.max(2, (count * HEIGHT) / most);
                top -= tall;
                return count > 0 && html`<rect key=${kind} class="state-${kind}" ...${place} y=${top} height=${tall} />`;
              })}
            </g>`;
          })}
        </svg>
        <p class="times"><time>${moment(start)}</time>${moment(end) !== moment(start) && html`<time>${moment(end)}</time>`}</p>
      </div>
    </figure>
  `;
}

/**
 * Columns of some hours each, from the numbers of hours. The last one ends now.
 * @template {{ hour: string }} H
 * @param {H[]} rows @param {number} count of columns @param {number} hours of each
 * @param {[string, string, (row: H) => number][]} parts kind, name and number
 * @returns {Column[]}
 */
export function byHours(rows, count, hours, parts) {
  const end = (Math.floor(Date.now() / HOUR) + 1) * HOUR;
  return Array.from({ length: count }, (_, k) => {
    const from = end - (count - k) * hours * HOUR;
    const to = from + hours * HOUR;
    const own = rows.filter(({ hour }) => Date.parse(hour) >= from && Date.parse(hour) < to);
    const sums = parts.map(([kind, name, of]) => ({ kind, name, count: own.reduce((all, row) => all + of(row), 0) }));
    return {
      from,
      to: Math.min(to, Date.now()),
      parts: sums.map(({ kind, count }) => [kind, count]),
      text: moment(from) + T.colon + sums.filter((each) => each.count).map((each) => `${parts.length > 1 ? `${each.name} ` : ""}${number(each.count)}`).join(T.comma),
    };
  });
}
