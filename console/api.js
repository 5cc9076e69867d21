// Requests to the API. Every failure is an ApiError with a kind; each kind has a message in each language.

import { currentToken, expire } from "./session.js";

/** @typedef {"network" | "token" | "forbidden" | "missing" | "conflict" | "invalid" | "busy" | "unavailable" | "unexpected"} Kind */
/** @typedef {Record<string, string | number | boolean | string[] | null | undefined>} Query */

export class ApiError extends Error {
  /** @param {Kind} kind @param {number} status @param {any} [body] */
  constructor(kind, status, body) {
    super(typeof body?.message === "string" ? body.message : "");
    this.kind = kind;
    this.status = status;
    /** The API's own name of the error, e.g. AtWorkElsewhere. @type {string} */
    this.code = typeof body?.error === "string" ? body.error : "";
    this.body = body ?? {};
    /** The time of the first of several failures. @type {number | null} */
    this.since = null;
  }
}

/** @type {Record<number, Kind>} */
const KINDS = { 400: "invalid", 401: "token", 403: "forbidden", 404: "missing", 409: "conflict", 422: "invalid", 429: "busy" };

const TIMEOUT = 30_000;
const BASE = new URL("../api/v1/", new URL(".", document.baseURI));

/** @param {string[]} path @param {Query} [query] */
function address(path, query = {}) {
  // The browser would remove a dot segment from the path and send the request to another resource.
  if (path.some((part) => part === "" || part === "." || part === "..")) throw new ApiError("missing", 404);
  const url = new URL(path.map(encodeURIComponent).join("/"), BASE);
  for (const [name, value] of Object.entries(query)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== null && each !== undefined && each !== "" && each !== false) {
        url.searchParams.append(name, String(each));
      }
    }
  }
  return url;
}

/**
 * @param {"GET" | "POST" | "PUT"} method @param {string[]} path
 * @param {{ query?: Query, body?: unknown, signal?: AbortSignal }} [options]
 * @returns {Promise<any>}
 */
async function request(method, path, { query, body, signal } = {}) {
  const url = address(path, query);
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json", Authorization: `Bearer ${currentToken() ?? ""}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const timeout = AbortSignal.timeout(TIMEOUT);
  let answer;
  let text;
  try {
    answer = await fetch(url, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      cache: "no-store",
      credentials: "omit",
    });
    text = await answer.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError("network", 0);
  }
  let parsed;
  try {
    parsed = JSON.parse(text);
  } catch {
    parsed = undefined;
  }
  if (answer.ok && parsed !== undefined) return parsed;
  const kind = answer.ok ? "unexpected" : (KINDS[answer.status] ?? (answer.status >= 500 ? "unavailable" : "unexpected"));
  if (kind === "token") expire();
  throw new ApiError(kind, answer.status, parsed);
}

/** @param {string[]} path @param {Query} [query] @param {AbortSignal} [signal] */
export const get = (path, query, signal) =>
  request("GET", path, { query: query ?? {}, ...(signal ? { signal } : {}) });

/** @param {string[]} path @param {unknown} body */
export const put = (path, body) => request("PUT", path, { query: {}, body });

/** @param {string[]} path @param {Query} [query] @param {unknown} [body] */
export const post = (path, query, body) => request("POST", path, { query: query ?? {}, body });
