// The view without a token: ways to sign in.

import { useEffect, useRef, useState } from "./vendor/hooks.js";
import { html } from "./html.js";
import { T } from "./language.js";
import { useTitle } from "./parts.js";
import { issuer, looksLikeToken, signIn, startSignIn } from "./session.js";

/** @param {{ expired: boolean, failed: boolean }} props */
export function SignInView({ expired, failed }) {
  const [text, setText] = useState("");
  const [invalid, setInvalid] = useState(false);
  const [unreachable, setUnreachable] = useState(false);
  const heading = useRef(/** @type {HTMLElement | null} */ (null));
  useTitle(T.signIn.heading);
  useEffect(() => heading.current?.focus(), []);

  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    const token = text.trim().replace(/^Bearer\s+/i, "");
    if (looksLikeToken(token)) signIn(token, { keep: true });
    else setInvalid(true);
  };
  const leave = () => startSignIn().catch(() => setUnreachable(true));
  return html`
    <div class="sign-in">
      <h1 tabindex="-1" ref=${heading}>${T.signIn.heading}</h1>
      ${expired && html`<p class="note warn" role="alert">${T.signIn.expired}</p>`}
      ${failed && html`<p class="note bad" role="alert">${T.signIn.failed}</p>`}
      ${unreachable && html`<p class="note bad" role="alert">${T.signIn.unreachable}</p>`}
      <p>${T.signIn.intro}</p>
      ${
        issuer() &&
        html`<p><button type="button" class="primary" onClick=${leave}>${T.signIn.withIssuer}</button></p>
          <h2>${T.signIn.orPaste}</h2>`
      }
      <form onSubmit=${submit}>
        <div class="field">
          <label for="token">${T.signIn.paste}</label>
          <input
            id="token"
            type="text"
            autocomplete="off"
            autocapitalize="off"
            spellcheck="false"
            value=${text}
            aria-describedby="paste-help"
            aria-invalid=${invalid ? "true" : undefined}
            onInput=${(/** @type {any} */ event) => {
              setText(event.currentTarget.value);
              setInvalid(false);
            }}
          />
          <span id="paste-help" class=${invalid ? "invalid" : "meta"}>${invalid ? T.signIn.notAToken : T.signIn.pasteHelp}</span>
        </div>
        <p class="actions"><button type="submit" class=${issuer() ? "" : "primary"}>${T.signIn.submit}</button></p>
      </form>
      <p class="meta">${T.signIn.local}</p>
    </div>
  `;
}
