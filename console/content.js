// The content of an item: a tutorial's text, a quiz with its answers, links; and refused content with its fault marked.

import { get } from "./api.js";
import { html } from "./html.js";
import { T, number } from "./language.js";
import { useLive } from "./live.js";
import { Markdown, safeLink } from "./markdown.js";
import { ErrorNote, Loading, Text, pathOf } from "./parts.js";

/** @typedef {import("./types").SavedItem} SavedItem */

/**
 * The saved content of an item. @param {{ taskId: string, conceptId: string, type:
 * import("./types").ContentType, revision: string, scope: { user_id?: string } }} props
 */
export function SavedContent({ taskId, conceptId, type, revision, scope }) {
  const { data, error, refresh } = useLive(
    `content ${taskId} ${conceptId} ${type} ${revision}`,
    /** @type {(signal: AbortSignal) => Promise<SavedItem>} */ (
      (signal) => get(["tasks", taskId, "content", type], { ...scope, concept_id: conceptId }, signal)
    ),
    () => null,
  );
  if (!data) return error ? html`<${ErrorNote} error=${error} retry=${refresh} missing=${T.content.gone} />` : html`<${Loading} />`;
  const large = safeLink(data.content_link);
  if (data.content_link) return html`<p>${T.content.large} ${large && html`<a href=${large} target="_blank" rel="noopener noreferrer">${T.content.open} ↗</a>`}</p>`;
  return html`<div class="content" tabindex="0" role="group" aria-label=${T.content.heading} data-content=${type}><${Content} type=${type} content=${data.content} /></div>`;
}

/** @param {{ type: string, content: any }} props */
function Content({ type, content }) {
  if (type === "tutorial" && typeof content.markdown === "string") return html`<${Markdown} text=${content.markdown} />`;
  if (type === "quiz" && Array.isArray(content.questions)) return html`<ol class="quiz">${content.questions.map(question)}</ol>`;
  if (type === "resources" && Array.isArray(content.resources)) return html`<ul class="plain">${content.resources.map(resource)}</ul>`;
  return html`<${Json} value=${content} path=${null} />`;
}

/** The content of an item as lines of text, for a comparison. @param {string} type @param {any} content @returns {string[]} */
export function contentLines(type, content) {
  if (type === "tutorial" && typeof content.markdown === "string") return content.markdown.split("\n");
  if (type === "quiz" && Array.isArray(content.questions)) return content.questions.flatMap(linesOfQuestion);
  if (type === "resources" && Array.isArray(content.resources)) return content.resources.flatMap(linesOfResource);
  return linesOf(content, "", "", "").map((line) => line.text);
}

/** @param {any} each */
function linesOfQuestion(each) {
  const right = new Set(each.correct_answer);
  const options = Array.isArray(each.options) ? each.options : [];
  const difficulty = each.difficulty ? ` (${T.content.difficulties[each.difficulty] ?? each.difficulty})` : "";
  return [`${each.question ?? ""}${difficulty}`, ...options.map((/** @type {unknown} */ option, /** @type {number} */ k) => `${right.has(k) ? "✓" : "○"} ${option}`), String(each.explanation ?? "")];
}

/** @param {any} each */
function linesOfResource(each) {
  const kind = each.type ? ` (${T.content.resourceTypes[each.type] ?? each.type})` : "";
  return [`${each.title ?? ""}${kind}`, String(each.url ?? ""), String(each.description ?? "")];
}

/** @param {any} each @param {number} index */
function question(each, index) {
  const options = Array.isArray(each.options) ? each.options : [];
  const right = new Set(each.correct_answer);
  return html`<li key=${index}>
    <p><strong><${Text} value=${String(each.question ?? "")} /></strong>${each.difficulty && html` <span class="meta">${T.content.difficulties[each.difficulty] ?? each.difficulty}</span>`}</p>
    <ul class="options">
      ${options.map(
        (/** @type {unknown} */ option, /** @type {number} */ k) => html`<li key=${k} class=${right.has(k) ? "right-answer" : ""}>
          <span aria-hidden="true">${right.has(k) ? "✓" : "○"}</span> <${Text} value=${String(option)} />${right.has(k) && html`<span class="visually-hidden">: ${T.content.right}</span>`}
        </li>`,
      )}
    </ul>
    ${each.explanation && html`<p class="meta"><${Text} value=${String(each.explanation)} /></p>`}
  </li>`;
}

/** @param {any} each @param {number} index */
function resource(each, index) {
  const url = safeLink(String(each.url ?? ""));
  const title = html`<${Text} value=${String(each.title || each.url || "")} />`;
  return html`<li key=${index}>
    ${url ? html`<a href=${url} target="_blank" rel="noopener noreferrer">${title} ↗</a>` : title}
    ${each.type && html` <span class="meta">${T.content.resourceTypes[each.type] ?? each.type}</span>`}
    <span class="meta block clamp"><${Text} value=${String(each.url ?? "")} /></span>
    ${each.description && html`<p><${Text} value=${String(each.description)} /></p>`}
  </li>`;
}

/**
 * Content that is not saved, as it is stored, with the place of its fault marked.
 * @param {{ text: string, reason: string | null }} props
 */
export function RefusedContent({ text, reason }) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    // The reason names the character: Expecting ',' delimiter: line 1 column 13 (char 12)
    const at = Number(/\(char (\d+)\)/.exec(reason ?? "")?.[1] ?? text.length);
    return html`<pre class="json" tabindex="0" aria-label=${T.content.refused}>${text.slice(0, at)}<mark ref=${show}>${text.slice(at, at + 80) || "␄"}</mark>${text.slice(at + 80)}</pre>`;
  }
  return html`<${Json} value=${value} path=${pathOf(reason ?? "")} />`;
}

/** @param {Element | null} element */
function show(element) {
  const box = element?.closest("pre");
  if (element instanceof HTMLElement && box) box.scrollTop = element.offsetTop - box.offsetTop - 40;
}

/** @param {{ value: unknown, path: string | null }} props */
function Json({ value, path }) {
  const lines = linesOf(value, "", "", "");
  const marked = lines.findIndex((line) => path !== null && line.path === path);
  const place = marked >= 0 ? T.content.faultAt(path ?? "", number(marked + 1)) : null;
  return html`
    ${place && html`<p class="meta">${place}</p>`}
    <pre class="json" tabindex="0" aria-label=${T.content.refused}>${lines.map((line, k) => (k === marked ? html`<mark ref=${show}>${line.text}</mark>${"\n"}` : `${line.text}\n`))}</pre>
  `;
}

/**
 * JSON in lines, with the path of each value. Characters that cannot be seen are escaped.
 * @param {unknown} value @param {string} path @param {string} indent @param {string} name
 * @returns {{ path: string, text: string }[]}
 */
function linesOf(value, path, indent, name) {
  if (typeof value !== "object" || value === null || indent.length > 200) return [{ path, text: `${indent}${name}${JSON.stringify(value)}` }];
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const inner = Array.isArray(value)
    ? value.map((each, k) => linesOf(each, `${path}[${k}]`, `${indent}  `, ""))
    : Object.entries(value).map(([key, each]) => linesOf(each, path ? `${path}.${key}` : key, `${indent}  `, `${JSON.stringify(key)}: `));
  return [{ path, text: `${indent}${name}${open}` }, ...inner.flat(), { path: "", text: `${indent}${close}` }];
}
