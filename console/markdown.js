// A tutorial's text as elements. markdown-it reads it (CommonMark, with the tables and the strikethrough of GFM); its
// tokens become elements here, so that no HTML of a text is ever a page's. Everything that it does not know, HTML
// included, is shown as the text that it is. A picture is shown if the deployment allows its origin. Any other is a
// link: loading it would tell a host of the text's choice who reads, and when.

import { html } from "./html.js";
import { useEffect, useMemo, useState } from "./vendor/hooks.js";

/** A URL that is safe in a link, or null. The API is trusted, but its input may not be. @param {string | null} url */
export const safeLink = (url) => (url && /^https:\/\//i.test(url) ? url : null);

const PICTURES = (document.querySelector('meta[name="pictures"]')?.getAttribute("content") ?? "").split(" ").filter(Boolean);

/** Loaded with the first lesson: a third of the page's bytes. @type {import("./vendor/markdown-it.js").MarkdownIt | null} */
let reader = null;

async function load() {
  const { default: markdownit } = await import("./vendor/markdown-it.js");
  const made = markdownit({ html: false, linkify: true });
  made.linkify.set({ fuzzyLink: false, fuzzyEmail: false, fuzzyIP: false });
  made.validateLink = () => true; // `link` decides
  const inTime = () => {
    if (performance.now() > deadline) throw new TooLong();
    return false;
  };
  made.block.ruler.before("table", "deadline", inTime);
  made.inline.ruler.before("text", "deadline", inTime);
  // A footnote of one word would be read as the target of a link, and would not be shown; its further paragraphs as code.
  const paragraph = made.block.ruler.getRules("").at(-1);
  made.block.ruler.before("reference", "footnote", (/** @type {any} */ state, line, end) => {
    if (!state.src.startsWith("[^", state.bMarks[line] + state.tShift[line])) return false;
    paragraph?.(state, line, end, false);
    for (let k = state.line; k < end && (state.isEmpty(k) || state.sCount[k] >= state.blkIndent + 4); k += 1) {
      const width = state.isEmpty(k) ? 0 : state.src[state.bMarks[k]] === "\t" ? 1 : 4;
      state.bMarks[k] += width;
      state.tShift[k] -= width;
      state.sCount[k] -= 4;
    }
    return true;
  });
  made.block.ruler.before("fence", "formula", readFormulas, { alt: ["paragraph", "reference", "blockquote", "list"] });
  made.inline.ruler.before("escape", "formula", readFormula);
  reader = made;
}

/** A formula in a line, which is shown as its source; of prices none is made. Each `$` is passed once. */
const FORMULA = /\$\$[^$]+\$\$|\$(?![\s$])[^$\n]*(?<!\s)\$(?!\d)/y;

/** @param {any} state @param {boolean} silent */
function readFormula(state, silent) {
  FORMULA.lastIndex = state.pos;
  const [formula] = FORMULA.exec(state.src) ?? [];
  if (formula && !silent) state.push("code_inline", "code", 0).content = formula;
  state.pos += formula?.length ?? 0;
  return Boolean(formula);
}

/** A formula on lines of its own, of at most 60. @param {any} state @param {number} first @param {number} end @param {boolean} silent */
function readFormulas(state, first, end, silent) {
  const lineOf = (/** @type {number} */ k) => state.src.slice(state.bMarks[k] + state.tShift[k] + (k === first ? 2 : 0), state.eMarks[k]).trimEnd();
  if (!state.src.startsWith("$$", state.bMarks[first] + state.tShift[first])) return false;
  const last = Array.from({ length: Math.min(end - first, 60) }, (_, k) => first + k).find((k) => lineOf(k).endsWith("$$"));
  if (last === undefined) return false;
  if (!silent) state.push("fence", "code", 0).content = state.getLines(first, last + 1, state.blkIndent, false);
  if (!silent) state.line = last + 1;
  return true;
}

/** Load the reader, if necessary; whether it is there, so that texts are drawn. */
export function useReader() {
  const [, setLoaded] = useState(reader !== null);
  useEffect(() => void (reader ?? load().then(() => setLoaded(true))), []);
  return reader !== null;
}

/** A text is drawn within about a second. One that is read for longer, or has more elements, is shown as its source. */
const LONGEST_MS = 700;
const MOST_TOKENS = 50_000;

class TooLong extends Error {}
let deadline = 0;

/** @typedef {import("./vendor/markdown-it.js").Token} Token */
/** @typedef {{ level: number, under: number }} Levels the level of the last heading: no level is left out, whatever the text does */

/** @param {{ text: string, under?: number }} props `under`: the level of the heading above the text */
export function Markdown({ text, under = 3 }) {
  const read = useReader();
  // Once for a text, and not whenever the view around it is drawn again.
  const drawn = useMemo(() => read && draw(text, under), [read, text, under]);
  return html`<div class="markdown" dir="auto" aria-busy=${!read || undefined}>${drawn}</div>`;
}

/** @param {string} text @param {number} under */
function draw(text, under) {
  deadline = performance.now() + LONGEST_MS;
  try {
    const tokens = reader?.parse(text, {}) ?? [];
    const number = tokens.reduce((sum, token) => sum + 1 + (token.children?.length ?? 0), 0);
    if (number <= MOST_TOKENS) return elements(tokens, { level: Math.max(1, under), under });
  } catch (error) {
    if (!(error instanceof TooLong)) throw error;
  }
  return html`<pre tabindex="0">${text}</pre>`;
}

/** @param {Token[]} tokens @param {Levels} levels @returns {any[]} */
function elements(tokens, levels) {
  /** @type {any[]} */
  let made = [];
  /** @type {{ token: Token, before: any[] }[]} */
  const open = [];
  for (const token of tokens) {
    if (token.nesting === 1) {
      open.push({ token, before: made });
      made = [];
    } else if (token.nesting === -1) {
      const ended = open.pop();
      if (ended) {
        ended.before.push(element(ended.token, made, levels));
        made = ended.before;
      }
    } else if (token.type === "inline") made.push(...elements(token.children ?? [], levels));
    else made.push(leaf(token));
  }
  return made;
}

/** @param {Token} token @param {any[]} content @param {Levels} levels */
function element(token, content, levels) {
  switch (token.type) {
    case "heading_open":
      levels.level = Math.min(levels.level + 1, levels.under + Number(token.tag.slice(1)), 6);
      return html`<${`h${levels.level}`}>${content}<//>`;
    case "link_open":
      return link(attribute(token, "href"), content);
    case "table_open":
      return html`<div class="scroll" tabindex="0"><table>${content}</table></div>`;
    case "th_open":
      return html`<th scope="col" style=${alignment(token)}>${content}</th>`;
    case "td_open":
      return html`<td style=${alignment(token)}>${content}</td>`;
    case "ordered_list_open":
      return html`<ol start=${attribute(token, "start") || undefined}>${content}</ol>`;
    case "paragraph_open":
      return token.hidden ? content : html`<p>${content}</p>`; // of a list without blank lines
    default:
      return html`<${token.tag}>${content}<//>`;
  }
}

/** @param {Token} token */
function leaf(token) {
  switch (token.type) {
    case "code_inline":
      return html`<code>${token.content}</code>`;
    case "fence":
    case "code_block":
      return html`<pre tabindex="0"><code>${token.content.replace(/\n$/, "")}</code></pre>`;
    case "hr":
      return html`<hr />`;
    case "hardbreak":
      return html`<br />`;
    case "softbreak":
      return "\n";
    case "image":
      return picture(attribute(token, "src"), token.content);
    default:
      return token.content;
  }
}

/** @param {Token} token @param {string} name */
const attribute = (token, name) => String(token.attrGet(name) ?? "");

/** @param {Token} token */
const alignment = (token) => ({ textAlign: attribute(token, "style").replace("text-align:", "") });

/** @param {string} url @param {string} text */
const picture = (url, text) => (PICTURES.some((origin) => url.startsWith(`${origin}/`)) ? html`<img src=${url} alt=${text} loading="lazy" />` : link(url, `▧ ${text}`));

/** @param {string} url @param {any} text */
const link = (url, text) =>
  url.startsWith("#/runbook/") ? html`<a href=${url}>${text}</a>` : safeLink(url) ? html`<a href=${url} target="_blank" rel="noopener noreferrer">${text}</a>` : html`<span title=${url.slice(0, 200)}>${text}</span>`;
