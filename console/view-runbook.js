// The runbook of this release, so that a warning leads to what to do about it.

import { useEffect } from "./vendor/hooks.js";
import { ApiError } from "./api.js";
import { html } from "./html.js";
import { T } from "./language.js";
import { useLive } from "./live.js";
import { Markdown, useReader } from "./markdown.js";
import { ErrorNote, Link, Loading, useTitle } from "./parts.js";
import { href } from "./router.js";

/** The contents stand beside the text, and are open. */
const WIDE = window.matchMedia("(min-width: 1200px)");

/** @param {{ anchor: string | undefined }} props */
export function RunbookView({ anchor }) {
  useTitle(T.health.runbook);
  const { data, error, refresh } = useLive("runbook", read, () => null);
  const isDrawn = useReader();
  useEffect(() => {
    const heading = [...document.querySelectorAll(".markdown :is(h2, h3)")].find((each) => slug(each.textContent ?? "") === anchor);
    if (heading instanceof HTMLElement) {
      heading.tabIndex = -1;
      heading.focus({ preventScroll: true });
      heading.scrollIntoView();
    }
  }, [data, anchor, isDrawn]);
  return html`
    ${T.health.runbookLanguage && html`<p class="note">${T.health.runbookLanguage}</p>`} ${error && html`<${ErrorNote} error=${error} retry=${refresh} />`} ${!data && !error && html`<${Loading} />`}
    ${
      data &&
      html`<div class="runbook" lang="en">
        <details class="contents" open=${WIDE.matches}>
          <summary lang=${document.documentElement.lang}>${T.health.runbookContents}</summary>
          <ul>
            ${[...data.replaceAll("`", "").matchAll(/^## (.+)$/gm)].map(([, heading = ""]) => html`<li key=${heading}><${Link} to=${href(["runbook", slug(heading)])}>${heading}<//></li>`)}
          </ul>
        </details>
        <${Markdown} text=${data.replace(/^# .*\n/, "").replaceAll("](#", "](#/runbook/")} under=${0} />
      </div>`
    }
  `;
}

/** @param {AbortSignal} signal */
async function read(signal) {
  try {
    const answer = await fetch(new URL("runbook.md", import.meta.url), { signal });
    if (answer.ok) return await answer.text();
    throw new ApiError(answer.status === 404 ? "missing" : "unavailable", answer.status);
  } catch (error) {
    if (signal.aborted || error instanceof ApiError) throw error;
    throw new ApiError("network", 0);
  }
}

/** The anchor of a heading, as in the links to it. @param {string} text */
const slug = (text) => text.toLowerCase().replace(/[^\w\s-]/g, "").trim().replace(/\s+/g, "-");
