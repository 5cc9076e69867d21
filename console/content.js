// The content of an item: a tutorial's text, a quiz with its answers, links; and refused content with its fault marked.

import { useState } from "./vendor/hooks.js";
import { html } from "./html.js";
import { T, number } from "./language.js";
import { useAnswer } from "./live.js";
import { Markdown, safeLink } from "./markdown.js";
import { Dialog, ErrorNote, Loading, Text, pathOf } from "./parts.js";

/**
 * The saved content of an item.
 * @param {{ taskId: string, conceptId: string, type: import("./types").ContentType, revision: string, scope: { user_id?: string }, title: string }} props
 */
export function SavedContent({ taskId, conceptId, type, revision, scope, title }) {
  const [reads, setReads] = useState(false);
  /** @type {import("./live.js").Live<import("./types").SavedItem>} */
  const { data, error, refresh } = useAnswer(["tasks", taskId, "content", type], { ...scope, concept_id: conceptId }, () => null, revision);
  if (!data) return error ? html`<${ErrorNote} error=${error} retry=${refresh} missing=${T.content.gone} />` : html`<${Loading} />`;
  const large = safeLink(data.content_link);
  if (data.content_link) return html`<p>${T.content.large} ${large && html`<a href=${large} target="_blank" rel="noopener noreferrer">${T.content.open} ↗</a>`}</p>`;
  const content = html`<div class="content" role="group" aria-label=${T.content.heading} data-content=${type}><${Content} type=${type} content=${data.content} /></div>`;
  return html`<p class="reads"><button type="button" class="small" onClick=${() => setReads(true)}>${T.content.read}</button></p>
    ${content}
    ${reads && html`<${Dialog} heading=${html`<${Text} value=${title} />`} reading onClose=${() => setReads(false)}><h3 class="visually-hidden">${T.types[type]}</h3>${content}<//>`}`;
}

/** Whether content has the shape that is shown as text, and not as JSON. @param {string} type @param {any} content */
const isKnown = (type, content) =>
  (type === "tutorial" && typeof content?.markdown === "string") ||
  (type === "quiz" && Array.isArray(content?.questions)) ||
  (type === "resources" && Array.isArray(content?.resources));

/** @param {{ type: string, content: any, fault?: string | null }} props `fault`: the path of a value to mark */
function Content({ type, content, fault = null }) {
  if (!isKnown(type, content)) return html`<${Json} value=${content} path=${fault} label=${T.content.heading} />`;
  if (type === "tutorial") return html`${fault && html`<p><mark>${fault}</mark></p>`}<${Markdown} text=${content.markdown} />`;
  if (type === "quiz") return html`<ol class="quiz">${content.questions.map(question(fault))}</ol>`;
  return html`<ul class="plain">${content.resources.map(resource(fault))}</ul>`;
}

/** The content of an item as lines of text, for a comparison. @param {string} type @param {any} content @returns {string[]} */
export function contentLines(type, content) {
  if (!isKnown(type, content)) return linesOf(content, "", "", "").map((line) => line.text);
  if (type === "tutorial") return content.markdown.split("\n");
  return type === "quiz" ? content.questions.flatMap(linesOfQuestion) : content.resources.flatMap(linesOfResource);
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

/** A text of unsaved content, marked if the fault is in it. @param {{ value: unknown, path: string, fault: string | null }} props */
const Part = ({ value, path, fault }) => html`<span class="text">${path === fault ? html`<mark>${visible(value)}</mark>` : String(value)}</span>`;

/** Control characters and lone halves of pairs, which cannot be seen, as in JSON. @param {unknown} value */
const visible = (value) => JSON.stringify(value ?? null).replace(/^"|"$/g, "").replaceAll('\\"', '"');

/** @param {string | null} fault @returns {(each: any, index: number) => any} */
const question = (fault) => (each, index) => {
  const path = `questions[${index}]`;
  const { question: text = "", options, correct_answer: answers, explanation, difficulty } = Object(each);
  const right = new Set(Array.isArray(answers) ? answers : []);
  return html`<li key=${index} dir="auto" class=${path === fault ? "fault" : ""}>
    <p><strong><${Part} value=${text} path="${path}.question" fault=${fault} /></strong>${difficulty && html` <span class="meta">${T.content.difficulties[difficulty] ?? String(difficulty)}</span>`}</p>
    <ul>
      ${(Array.isArray(options) ? options : []).map(
        (/** @type {unknown} */ option, /** @type {number} */ k) => html`<li key=${k} dir="auto" class=${right.has(k) ? "right-answer" : ""}>
          <span aria-hidden="true">${right.has(k) ? "✓" : "○"}</span> <${Part} value=${option} path="${path}.options[${k}]" fault=${fault} />${right.has(k) && html`<span class="visually-hidden">${T.colon}${T.content.right}</span>`}
        </li>`,
      )}
    </ul>
    ${explanation && html`<p class="meta" dir="auto"><${Part} value=${explanation} path="${path}.explanation" fault=${fault} /></p>`}
  </li>`;
};

/** @param {string | null} fault @returns {(each: any, index: number) => any} */
const resource = (fault) => (each, index) => {
  const path = `resources[${index}]`;
  const { title, url: target = "", type, description } = Object(each);
  const url = safeLink(String(target));
  const name = html`<${Part} value=${title || target} path="${path}.title" fault=${fault} />`;
  return html`<li key=${index} dir="auto" class=${path === fault ? "fault" : ""}>
    ${url ? html`<a href=${url} target="_blank" rel="noopener noreferrer">${name} ↗</a>` : name}
    ${type && html` <span class="meta">${T.content.resourceTypes[type] ?? String(type)}</span>`}
    <span class="meta block clamp"><${Part} value=${target} path="${path}.url" fault=${fault} /></span>
    ${description && html`<p><${Part} value=${description} path="${path}.description" fault=${fault} /></p>`}
  </li>`;
};

/**
 * Content that is not saved, shown like saved content, with the place of its fault marked; on demand, as it is stored.
 * @param {{ type: string, text: string, reason: string | null, label: string }} props
 */
export function UnsavedContent({ type, text, reason, label }) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    // The reason names the character: Expecting ',' delimiter: line 1 column 13 (char 12)
    const at = Number(/\(char (\d+)\)/.exec(reason ?? "")?.[1] ?? text.length);
    return html`<pre class="json" aria-label=${label}>${text.slice(0, at)}<mark>${text.slice(at, at + 80) || "␄"}</mark>${text.slice(at + 80)}</pre>`;
  }
  const fault = pathOf(reason ?? "");
  if (!isKnown(type, value)) return html`<${Json} value=${value} path=${fault} label=${label} />`;
  return html`
    <div class="content" role="group" aria-label=${label} data-content=${type}><${Content} type=${type} content=${value} fault=${fault} /></div>
    <details><summary>JSON</summary><${Json} value=${value} path=${fault} label=${label} /></details>
  `;
}

/** @param {{ value: unknown, path: string | null, label: string }} props */
function Json({ value, path, label }) {
  const lines = linesOf(value, "", "", "");
  const marked = lines.findIndex((line) => path !== null && line.path === path);
  const place = marked >= 0 ? T.content.faultAt(path ?? "", number(marked + 1)) : null;
  return html`
    ${place && html`<p class="meta">${place}</p>`}
    <pre class="json" aria-label=${label}>${lines.map((line, k) => (k === marked ? html`<mark>${line.text}</mark>${"\n"}` : `${line.text}\n`))}</pre>
  `;
}

/**
 * Valid JSON in lines, with the path of each value. Characters that cannot be seen are escaped.
 * @param {unknown} value @param {string} path @param {string} indent @param {string} name
 * @returns {{ path: string, text: string }[]}
 */
function linesOf(value, path, indent, name) {
  if (typeof value !== "object" || value === null || indent.length > 200) return [{ path, text: `${indent}${name}${JSON.stringify(value)}` }];
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const inner = Array.isArray(value)
    ? value.map((each, k) => linesOf(each, `${path}[${k}]`, `${indent}  `, ""))
    : Object.entries(value).map(([key, each]) => linesOf(each, path ? `${path}.${key}` : key, `${indent}  `, `${JSON.stringify(key)}: `));
  for (const lines of inner.slice(0, -1)) {
    const last = lines.at(-1);
    if (last) last.text += ",";
  }
  return [{ path, text: `${indent}${name}${open}` }, ...inner.flat(), { path: "", text: `${indent}${close}` }];
}
