// Preact with htm's templates: html`<p>${text}</p>`. Text is always a text node; nothing is parsed as markup.

import htm from "./vendor/htm.js";
import { h } from "./vendor/preact.js";

/** @type {(strings: TemplateStringsArray, ...values: any[]) => any} */
export const html = htm.bind(/** @type {any} */ (h));
