// A tutorial's text as elements: headings, paragraphs, lists, quotations, tables, code, emphasis and links.
// Everything else, HTML included, is shown as the text that it is. A picture is shown if the deployment allows its
// origin. Any other is a link: loading it would tell a host of the text's choice who reads, and when.

import { html } from "./html.js";

/** A URL that is safe in a link, or null. The API is trusted, but its input may not be. @param {string | null} url */
export const safeLink = (url) => (url && /^https:\/\//i.test(url) ? url : null);

const PICTURES = (document.querySelector('meta[name="pictures"]')?.getAttribute("content") ?? "").split(" ").filter(Boolean);

const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)(?:\s+#+)?\s*$/;
const ITEM = /^( *)(?:[-*+]|(\d{1,9})[.)])\s+/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const TABLE_RULE = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;
const DEEPEST = 12;

/** @param {{ text: string, under?: number }} props `under`: the level of the heading above the text */
export const Markdown = ({ text, under = 3 }) =>
  html`<div class="markdown" dir="auto">${blocks(text.split(/\r?\n/), { level: Math.max(1, under), under }, 0)}</div>`;

/**
 * @param {string[]} lines
 * @param {{ level: number, under: number }} last the level of the last heading: no level is left out, whatever the text does
 * @param {number} depth of nested lists and quotations
 * @returns {any[]}
 */
function blocks(lines, last, depth) {
  const made = [];
  let k = 0;
  /** The lines from here on that fit. @param {(line: string) => boolean} fits */
  const take = (fits) => {
    const from = k;
    while (k < lines.length && fits(lines[k] ?? "")) k += 1;
    return lines.slice(from, k);
  };
  while (k < lines.length) {
    const line = lines[k] ?? "";
    const fence = FENCE.exec(line)?.[1];
    const heading = HEADING.exec(line);
    if (!line.trim()) k += 1;
    else if (fence) {
      k += 1;
      const code = take((each) => !each.trim().startsWith(fence));
      k += 1;
      made.push(html`<pre tabindex="0"><code>${code.join("\n")}</code></pre>`);
    } else if (heading) {
      k += 1;
      last.level = Math.min(last.level + 1, last.under + (heading[1] ?? "").length, 6);
      made.push(html`<${`h${last.level}`}>${inline(heading[2] ?? "")}<//>`);
    } else if (RULE.test(line)) {
      k += 1;
      made.push(html`<hr />`);
    } else if (line.startsWith(">") && depth < DEEPEST) {
      const quoted = take((each) => each.startsWith(">")).map((each) => each.replace(/^> ?/, ""));
      made.push(html`<blockquote>${blocks(quoted, last, depth + 1)}</blockquote>`);
    } else if (line.includes("|") && TABLE_RULE.test(lines[k + 1] ?? "") && (lines[k + 1] ?? "").includes("-")) {
      made.push(table(take((each) => each.includes("|"))));
    } else if (ITEM.test(line) && depth < DEEPEST) made.push(list());
    else {
      const from = k;
      k += 1;
      take((each) => each.trim() !== "" && !FENCE.test(each) && !HEADING.test(each) && !ITEM.test(each) && !each.startsWith(">"));
      made.push(html`<p>${inline(lines.slice(from, k).join("\n"))}</p>`);
    }
  }
  return made;

  function list() {
    const first = ITEM.exec(lines[k] ?? "");
    const indent = first?.[1]?.length ?? 0;
    const ordered = first?.[2] !== undefined;
    const items = [];
    for (;;) {
      const line = lines[k] ?? "";
      const found = ITEM.exec(line);
      if (!found || (found[1] ?? "").length !== indent || (found[2] !== undefined) !== ordered) break;
      k += 1;
      const width = found[0].length;
      const rest = take((each) => each.startsWith(" ".repeat(indent + 1)) || (each === "" && /^\s+\S/.test(lines[k + 1] ?? "")));
      const own = [line.slice(width), ...rest.map((each) => each.replace(new RegExp(`^ {0,${width}}`), ""))];
      const only = own.length === 1;
      items.push(html`<li>${only ? inline(own[0] ?? "") : blocks(own, last, depth + 1)}</li>`);
    }
    return ordered ? html`<ol start=${first?.[2]}>${items}</ol>` : html`<ul>${items}</ul>`;
  }
}

/** @param {string[]} lines */
function table([head = "", , ...rows]) {
  const cells = (/** @type {string} */ row) => row.trim().replace(/^\||\|$/g, "").split("|");
  return html`<div class="scroll" tabindex="0">
    <table>
      <thead><tr>${cells(head).map((cell) => html`<th scope="col">${inline(cell.trim())}</th>`)}</tr></thead>
      <tbody>${rows.map((row) => html`<tr>${cells(row).map((cell) => html`<td>${inline(cell.trim())}</td>`)}</tr>`)}</tbody>
    </table>
  </div>`;
}

// Code, an image or a link (an image may be the text of a link), strong, emphasis, a bare URL. Every length is limited:
// otherwise the time would grow with the square of a text of unclosed brackets.
const INLINE =
  /(`+)(.{1,1000}?)\1(?!`)|!\[([^\]]{0,500})\]\(((?:[^\s()]|\([^\s()]{0,200}\)){0,2000})[^)]{0,200}\)|\[((?:!\[[^\]]{0,500}\]\([^)]{0,2000}\)|[^[\]]){0,500})\]\(((?:[^\s()]|\([^\s()]{0,200}\)){0,2000})[^)]{0,200}\)|\*\*(.{1,2000}?)\*\*|\*([^*\s](?:[^*]{0,1000}[^*\s])?)\*|(?<!\w)_([^_\s](?:[^_]{0,1000}[^_\s])?)_(?!\w)|(https:\/\/[^\s<>()]{1,2000})/s;

/** @param {string} text @returns {any[]} */
function inline(text) {
  const made = [];
  for (let rest = text; rest; ) {
    const found = INLINE.exec(rest);
    if (!found) return [...made, rest];
    const [all, , code, image, source, label, target, strong, starred, lined, bare] = found;
    if (found.index > 0) made.push(rest.slice(0, found.index));
    rest = rest.slice(found.index + all.length);
    if (code !== undefined) made.push(html`<code>${code}</code>`);
    else if (image !== undefined) made.push(picture(source ?? "", image));
    else if (label !== undefined) made.push(link(target ?? "", inline(label.replace(/!\[([^\]]*)\]\([^)]*\)/g, "▧ $1"))));
    else if (strong !== undefined) made.push(html`<strong>${inline(strong)}</strong>`);
    else if (bare !== undefined) made.push(link(bare, bare));
    else made.push(html`<em>${inline(starred ?? lined ?? "")}</em>`);
  }
  return made;
}

/** @param {string} url @param {string} text */
const picture = (url, text) => (PICTURES.some((origin) => url.startsWith(`${origin}/`)) ? html`<img src=${url} alt=${text} loading="lazy" />` : link(url, `▧ ${text}`));

/** @param {string} url @param {any} text */
const link = (url, text) =>
  url.startsWith("#/runbook/") ? html`<a href=${url}>${text}</a>` : safeLink(url) ? html`<a href=${url} target="_blank" rel="noopener noreferrer">${text}</a>` : html`<span title=${url.slice(0, 200)}>${text}</span>`;
