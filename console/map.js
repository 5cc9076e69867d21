// A task's whole roadmap as one picture: stages, modules, concepts, content types.
// A module is one SVG with a path per state, below one button per concept: changed states redraw only their modules.

import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/hooks.js";
import { TYPES } from "./content-types.js";
import { html } from "./html.js";
import { T, number } from "./language.js";
import { STATES, outline } from "./marks.js";

/** @typedef {import("./types").ContentType} ContentType */
/** @typedef {{ id: string, name: string, index: number }} Concept */
/** @typedef {{ name: string, stage: number, first: number, concepts: Concept[] }} Module */
/** @typedef {{ stages: { name: string, modules: Module[] }[], concepts: Concept[], modules: Module[] }} Outline */

/** The number of letters of a concept. */
export const TYPE_COUNT = TYPES.length;

const NAMED = 30;
const LABEL = 22;
const MODULE = 380;
const NARROW_MODULE = 220;
const GAP = 28;
const WIDEST = 24;

/** @param {number} concepts */
function pitchOf(concepts) {
  const coarse = window.matchMedia("(pointer: coarse), (max-width: 700px)").matches;
  if (coarse || concepts <= 100) return WIDEST;
  return concepts > 1000 ? 12 : 16;
}

/**
 * @param {{
 *   outline: Outline, states: string, reasonOf: Map<number, number>, reason: number | null,
 *   open: string | null, onOpen: (id: string, type: ContentType) => void,
 * }} props
 */
export function TaskMap({ outline: tree, states, reasonOf, reason, open, onOpen }) {
  const element = useRef(/** @type {HTMLDivElement | null} */ (null));
  const [width, setWidth] = useState(0);
  const [active, setActive] = useState(0);
  const [message, setMessage] = useState("");

  useLayoutEffect(() => {
    const container = element.current;
    if (!container) return undefined;
    setWidth(container.clientWidth);
    const observer = new ResizeObserver(() => setWidth(container.clientWidth));
    observer.observe(container);
    return () => observer.disconnect();
  }, []);

  const count = tree.concepts.length;
  const named = count <= NAMED;
  const least = pitchOf(count);
  const longest = Math.max(1, ...tree.modules.map((module) => module.concepts.length));
  // Without names, a module needs no more than the width of its concepts.
  const needed = Math.max(NARROW_MODULE, LABEL + least * longest);
  const columns = Math.max(1, Math.floor((width + GAP) / ((named ? MODULE : Math.min(MODULE, needed)) + GAP)));
  const moduleWidth = Math.max(160, Math.floor((width - GAP * (columns - 1)) / columns));
  // The concepts fill their column.
  const pitch = Math.min(WIDEST, Math.max(least, Math.floor((moduleWidth - LABEL) / longest)));
  const perLine = Math.max(1, Math.floor((moduleWidth - LABEL) / pitch));

  const openIndex = useMemo(() => tree.concepts.findIndex((each) => each.id === open), [tree, open]);
  const current = Math.min(active, count - 1);

  /** @param {number} index */
  const focus = (index) => {
    setActive(index);
    const button = element.current?.querySelector(`[data-index="${index}"]`);
    if (button instanceof HTMLElement) {
      button.focus();
      button.scrollIntoView({ block: "nearest" });
    }
  };

  /** Whether a concept has a problem, of the selected reason if one is selected. @param {number} index */
  const troubled = (index) =>
    TYPES.some((_, type) => {
      const item = TYPE_COUNT * index + type;
      return reason === null ? states[item] === "F" : reasonOf.get(item) === reason;
    });

  /** The concept above or below: the same place in the line before or after. @param {number} step */
  const vertical = (step) => {
    if (named) return current + step;
    const module = tree.modules.findLast((each) => each.first <= current);
    if (!module) return current;
    const place = current - module.first;
    const target = place + step * perLine;
    if (target >= 0 && target < module.concepts.length) return module.first + target;
    const line = Math.floor(place / perLine);
    const lastLine = Math.floor((module.concepts.length - 1) / perLine);
    if (step > 0 && line < lastLine) return module.first + module.concepts.length - 1;
    const next = tree.modules[tree.modules.indexOf(module) + step];
    if (!next) return current;
    const column = place % perLine;
    const start = step > 0 ? 0 : Math.floor((next.concepts.length - 1) / perLine) * perLine;
    return next.first + Math.min(start + column, next.concepts.length - 1);
  };

  /** The next concept with a problem, after the last one the first; the current one if there is none. @param {KeyboardEvent} event */
  const nextTroubled = ({ shiftKey }) => {
    const step = shiftKey ? -1 : 1;
    const following = Array.from({ length: count }, (_, k) => (current + step * (k + 1) + count * (k + 1)) % count);
    const next = following.find(troubled);
    setMessage(next === undefined ? T.task.noProblems : "");
    return next ?? current;
  };

  /** @type {Record<string, (event: KeyboardEvent) => number>} */
  const targets = {
    ArrowRight: () => current + 1,
    ArrowLeft: () => current - 1,
    ArrowDown: () => vertical(1),
    ArrowUp: () => vertical(-1),
    Home: () => 0,
    End: () => count - 1,
    n: nextTroubled,
    N: nextTroubled,
  };

  /** @param {KeyboardEvent} event */
  const onKeyDown = (event) => {
    const target = targets[event.key];
    if (!target || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    focus(Math.max(0, Math.min(count - 1, target(event))));
  };

  // The focus returns to the concept of the closed details.
  const before = useRef(openIndex);
  useEffect(() => {
    if (openIndex >= 0) setActive(openIndex);
    else if (before.current >= 0) focus(before.current);
    before.current = openIndex;
  }, [openIndex]);

  /** @type {(index: number, event: MouseEvent) => void} */
  const onClick = useCallback(
    (index, event) => {
      const concept = tree.concepts[index];
      if (!concept || !(event.currentTarget instanceof HTMLElement)) return;
      setActive(index);
      const box = event.currentTarget.getBoundingClientRect();
      // Keyboard events have no position: use the first content type that is not saved.
      const worst = STATES.map((state) => TYPES.findIndex((_, type) => states[TYPE_COUNT * index + type] === state)).find(
        (type) => type >= 0,
      );
      const pointed = named
        ? Math.floor((event.clientX - (box.right - TYPE_COUNT * 28)) / 28)
        : Math.floor(((event.clientY - box.top) / box.height) * TYPE_COUNT);
      const type = event.detail > 0 && pointed >= 0 && pointed < TYPE_COUNT ? pointed : (worst ?? 0);
      onOpen(concept.id, TYPES[type] ?? TYPES[0]);
    },
    [tree, states, named, onOpen],
  );

  return html`
    <div
      class="map ${named ? "named" : ""}"
      tabindex="-1"
      ref=${element}
      role="group"
      aria-label=${T.task.map}
      aria-describedby="map-help"
      onKeyDown=${onKeyDown}
    >
      ${message && html`<p class="meta" role="status">${message}</p>`}
      ${
        width > 0 &&
        tree.stages.map(
          (stage, s) => html`
            <section class="stage" key=${s}>
              <h3><bdi>${stage.name}</bdi></h3>
              <div class="modules" style=${{ gridTemplateColumns: `repeat(${columns}, ${moduleWidth}px)`, columnGap: `${GAP}px` }}>
                ${stage.modules.map((module) => {
                  const from = TYPE_COUNT * module.first;
                  const to = from + TYPE_COUNT * module.concepts.length;
                  const inside = current >= module.first && TYPE_COUNT * current < to;
                  const opened = openIndex >= module.first && TYPE_COUNT * openIndex < to;
                  return html`<${ModuleView}
                    key=${module.first}
                    module=${module}
                    states=${states.slice(from, to)}
                    reasonOf=${reasonOf}
                    reason=${reason}
                    named=${named}
                    pitch=${pitch}
                    perLine=${perLine}
                    width=${moduleWidth}
                    active=${inside ? current : -1}
                    open=${opened ? openIndex : -1}
                    onClick=${onClick}
                    language=${T}
                  />`;
                })}
              </div>
            </section>
          `,
        )
      }
    </div>
  `;
}

/** @param {Concept} concept @param {string} states the letters of the concept */
function label(concept, states) {
  return `${concept.name}${T.colon}${TYPES.map((type, k) => `${T.types[type]} ${T.states[states[k] ?? "M"]}`).join(T.comma)}`;
}

/** @param {any} props */
function ModuleView(props) {
  // A module is drawn again only if its states have changed. This makes polling cheap.
  const shown = useRef(/** @type {{ props: any, drawn: any } | null} */ (null));
  const last = shown.current?.props;
  if (last && Object.keys(props).every((name) => props[name] === last[name])) return shown.current?.drawn;
  const drawn = drawModule(props);
  shown.current = { props, drawn };
  return drawn;
}

/**
 * @param {{
 *   module: Module, states: string, reasonOf: Map<number, number>, reason: number | null, named: boolean,
 *   pitch: number, perLine: number, width: number, active: number, open: number,
 *   onClick: (index: number, event: MouseEvent) => void,
 * }} props
 */
function drawModule({ module, states, reasonOf, reason, named, pitch, perLine, width, active, open, onClick }) {
  const size = module.concepts.length;
  const saved = states.split("S").length - 1;
  const problems = states.split("F").length - 1;
  const lineHeight = TYPE_COUNT * pitch + Math.round(pitch * 0.6);
  const lines = Math.ceil(size / perLine);
  const height = named ? size * 30 : lines * lineHeight;
  /** @param {number} item */
  const dim = (item) => reason !== null && reasonOf.get(TYPE_COUNT * module.first + item) !== reason;

  return html`
    <section class="module" style=${{ containIntrinsicSize: `auto ${width}px auto ${height + 40}px` }}>
      <div class="module-head">
        <h4><bdi>${module.name}</bdi></h4>
        <span class="meta">${number(saved)}/${number(states.length)}</span>
        ${problems > 0 && html`<span class="problems" title=${T.states.F}>✕ ${number(problems)}</span>`}
        ${named && html`<span class="type-heads" aria-hidden="true">${TYPES.map((type) => html`<span key=${type}>${T.typesShort[type]}</span>`)}</span>`}
      </div>
      ${named ? rows() : grid()}
    </section>
  `;

  function rows() {
    return html`<div class="rows">
      ${module.concepts.map((concept, k) => {
        const own = states.slice(TYPE_COUNT * k, TYPE_COUNT * k + TYPE_COUNT);
        return html`
          <button
            type="button"
            key=${concept.index}
            class="row ${open === concept.index ? "open" : ""}"
            data-index=${concept.index}
            tabindex=${active === concept.index ? 0 : -1}
            aria-label=${label(concept, own)}
            aria-expanded=${open === concept.index}
            onClick=${(/** @type {MouseEvent} */ event) => onClick(concept.index, event)}
          >
            <bdi class="row-name">${concept.name}</bdi>
            <svg width=${TYPE_COUNT * 28} height="28" viewBox="0 0 ${TYPE_COUNT * 28} 28" aria-hidden="true">
              ${TYPES.map((_, t) => {
                const state = own[t] ?? "M";
                return html`<path
                  key=${t}
                  class="state-${state} ${dim(TYPE_COUNT * k + t) ? "dim" : ""}"
                  fill-rule="evenodd"
                  d=${outline(state, 14 + 28 * t, 14, 7)}
                />`;
              })}
            </svg>
          </button>
        `;
      })}
    </div>`;
  }

  function grid() {
    /** @type {Map<string, string>} */
    const paths = new Map();
    const r = pitch * 0.43;
    for (let k = 0; k < size; k += 1) {
      const x = LABEL + (k % perLine) * pitch + pitch / 2;
      const top = Math.floor(k / perLine) * lineHeight;
      for (let t = 0; t < TYPE_COUNT; t += 1) {
        const state = states[TYPE_COUNT * k + t] ?? "M";
        const key = dim(TYPE_COUNT * k + t) ? `${state} dim` : state;
        paths.set(key, (paths.get(key) ?? "") + outline(state, x, top + t * pitch + pitch / 2, r));
      }
    }
    return html`
      <div class="cells" style=${{ height: `${height}px` }}>
        <svg width=${width} height=${height} aria-hidden="true">
          ${Array.from({ length: lines }, (_, line) =>
            TYPES.map(
              (type, t) => html`<text
                key="${line}${type}"
                class="type"
                x="0"
                y=${line * lineHeight + t * pitch + pitch / 2}
                font-size=${Math.min(12, pitch - 1)}
              >${T.typesShort[type]}</text>`,
            ),
          )}
          ${[...paths].map(([key, d]) => html`<path key=${key} class="state-${key}" fill-rule="evenodd" d=${d} />`)}
        </svg>
        ${module.concepts.map(
          (concept, k) => html`
            <button
              type="button"
              key=${concept.index}
              class="cell ${open === concept.index ? "open" : ""}"
              data-index=${concept.index}
              tabindex=${active === concept.index ? 0 : -1}
              title=${concept.name.slice(0, 200)}
              aria-label=${label(concept, states.slice(TYPE_COUNT * k, TYPE_COUNT * k + TYPE_COUNT))}
              aria-expanded=${open === concept.index}
              style=${{
                left: `${LABEL + (k % perLine) * pitch}px`,
                top: `${Math.floor(k / perLine) * lineHeight}px`,
                width: `${pitch}px`,
                height: `${TYPE_COUNT * pitch}px`,
              }}
              onClick=${(/** @type {MouseEvent} */ event) => onClick(concept.index, event)}
            ></button>
          `,
        )}
      </div>
    `;
  }
}
