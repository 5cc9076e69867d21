// The address. The state of a view is in the fragment, which reaches no server and no log.

import { useEffect, useState } from "./vendor/hooks.js";

/** @typedef {{ path: string[], query: URLSearchParams }} Route */

/** @returns {Route} */
export function currentRoute() {
  const [path = "", query = ""] = window.location.hash.replace(/^#\/?/, "").split("?", 2);
  return { path: path.split("/").filter(Boolean).map(decoded), query: new URLSearchParams(query) };
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * The fragment of a view; the chosen language is kept.
 * @param {string[]} path @param {URLSearchParams | Record<string, string | string[] | null | undefined>} [query]
 */
export function href(path, query = {}) {
  const parameters = query instanceof URLSearchParams ? new URLSearchParams(query) : new URLSearchParams();
  if (!(query instanceof URLSearchParams)) {
    for (const [name, value] of Object.entries(query)) {
      for (const each of Array.isArray(value) ? value : [value]) if (each) parameters.append(name, each);
    }
  }
  const language = currentRoute().query.get("lang");
  if (language && !parameters.has("lang")) parameters.set("lang", language);
  const tail = parameters.toString();
  return `#/${path.map(encodeURIComponent).join("/")}${tail ? `?${tail}` : ""}`;
}

/**
 * Change parameters of the current view; null removes a parameter. @param {Record<string, string |
 * string[] | null>} changes @param {{ replace?: boolean }} [options]
 */
export function change(changes, { replace = false } = {}) {
  const { path, query } = currentRoute();
  for (const [name, value] of Object.entries(changes)) {
    query.delete(name);
    for (const each of Array.isArray(value) ? value : [value]) if (each) query.append(name, each);
  }
  go(href(path, query), { replace });
}

/** @param {string} target @param {{ replace?: boolean }} [options] */
export function go(target, { replace = false } = {}) {
  if (replace) {
    window.history.replaceState(null, "", target);
    window.dispatchEvent(new HashChangeEvent("hashchange"));
  } else {
    window.location.hash = target;
  }
}

/** The address, kept up to date. @returns {Route} */
export function useRoute() {
  const [route, setRoute] = useState(currentRoute);
  useEffect(() => {
    const update = () => setRoute(currentRoute());
    window.addEventListener("hashchange", update);
    return () => window.removeEventListener("hashchange", update);
  }, []);
  return route;
}
