// The token: from a link's fragment, pasted, or from an issuer by authorization code with PKCE.
// A token from a link or from pasting is kept in sessionStorage, so that a reload keeps it and other tabs do not
// get it. A token of the issuer is kept in memory; after a reload, the issuer is called again.

import { T } from "./language.js";

const KEY = "roadmap.token";
const PENDING = "roadmap.sign-in";

/** @type {string | null} */
let token = window.sessionStorage.getItem(KEY);
/** @type {Set<() => void>} */
const listeners = new Set();

let expired = false;

/** The token, or null. */
export const currentToken = () => token;

/** Whether the API has refused the last token. */
export const hasExpired = () => expired;

/** @param {string} value @param {{ keep: boolean }} options */
export const signIn = (value, { keep }) => replace(value, { keep, refused: false });

/** Delete the token. */
export const signOut = () => replace(null, { keep: false, refused: false });

/** Delete a token that the API does not accept. */
export const expire = () => replace(null, { keep: false, refused: true });

/** @param {string | null} value @param {{ keep: boolean, refused: boolean }} options */
function replace(value, { keep, refused }) {
  token = value;
  expired = refused;
  if (value !== null && keep) window.sessionStorage.setItem(KEY, value);
  else window.sessionStorage.removeItem(KEY);
  for (const listener of listeners) listener();
}

/** @param {() => void} listener @returns {() => void} */
export function onSession(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Whether a text has the form of a JSON Web Token. @param {string} text */
export const looksLikeToken = (text) => /^[\w-]+\.[\w-]+\.[\w-]+$/.test(text);

/**
 * Take a token out of the fragment (`#token=…&to=/tasks`), and remove it from the address and the history. Whoever made
 * the link chose the token, so it replaces another one only if the user confirms that.
 */
export function takeLink() {
  const found = new URLSearchParams(window.location.hash.slice(1));
  const given = found.get("token");
  if (given === null) return;
  window.history.replaceState(null, "", `${window.location.pathname}#${found.get("to") ?? "/tasks"}`);
  window.dispatchEvent(new HashChangeEvent("hashchange")); // replaceState fires no event
  if (!looksLikeToken(given) || given === token) return;
  if (token === null || window.confirm(T.signIn.replace)) signIn(given, { keep: true });
}

/** @param {string} name */
const setting = (name) => document.querySelector(`meta[name=${name}]`)?.getAttribute("content") ?? "";

/** The issuer for signing in to this deployment, or null. */
export function issuer() {
  const url = setting("issuer");
  return url && setting("client") ? url : null;
}

/** @returns {Promise<{ authorization_endpoint: string, token_endpoint: string }>} */
async function discover() {
  const answer = await fetch(`${issuer()?.replace(/\/$/, "")}/.well-known/openid-configuration`);
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
}

/** @param {ArrayBuffer | Uint8Array} bytes */
function base64url(bytes) {
  const text = String.fromCharCode(...new Uint8Array(bytes));
  return btoa(text).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
}

const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)));
const redirectUri = () => window.location.origin + window.location.pathname;

/** Go to the issuer's sign-in page. */
export async function startSignIn() {
  const { authorization_endpoint } = await discover();
  const pending = { verifier: random(), state: random(), hash: window.location.hash };
  window.sessionStorage.setItem(PENDING, JSON.stringify(pending));
  const challenge = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(pending.verifier));
  const url = new URL(authorization_endpoint);
  const parameters = {
    response_type: "code",
    client_id: setting("client"),
    redirect_uri: redirectUri(),
    scope: setting("scope"),
    audience: setting("audience"),
    state: pending.state,
    code_challenge: base64url(challenge),
    code_challenge_method: "S256",
  };
  for (const [name, value] of Object.entries(parameters)) if (value) url.searchParams.set(name, value);
  window.location.assign(url);
}

/**
 * Return from the issuer: exchange the code for a token. @returns {Promise<boolean>} false if the issuer
 * refused, or the answer belongs to no sign-in of this tab
 */
export async function finishSignIn() {
  const answer = new URLSearchParams(window.location.search);
  if (!answer.has("state")) return true;
  const pending = JSON.parse(window.sessionStorage.getItem(PENDING) ?? "null");
  window.sessionStorage.removeItem(PENDING);
  window.history.replaceState(null, "", window.location.pathname + (pending?.hash ?? ""));
  const code = answer.get("code");
  if (!pending || answer.get("state") !== pending.state || !code) return false;
  try {
    const { token_endpoint } = await discover();
    const body = new URLSearchParams({
      grant_type: "authorization_code",
      client_id: setting("client"),
      redirect_uri: redirectUri(),
      code,
      code_verifier: pending.verifier,
    });
    const exchanged = await fetch(token_endpoint, { method: "POST", body });
    const { access_token } = exchanged.ok ? await exchanged.json() : { access_token: undefined };
    if (typeof access_token !== "string" || !looksLikeToken(access_token)) return false;
    signIn(access_token, { keep: false });
    return true;
  } catch {
    return false;
  }
}
