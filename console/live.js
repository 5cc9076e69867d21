// Data that is kept up to date while it is shown.

import { useCallback, useEffect, useRef, useState } from "./vendor/hooks.js";
import { ApiError, get } from "./api.js";
import { html } from "./html.js";
import { T } from "./language.js";

const SLOWEST = 60_000;

let failedLoads = 0;

/** A module that is read on demand. @param {string} name @returns {Promise<any>} */
export async function loadModule(name) {
  try {
    // The browser never requests a module again that failed.
    return await import(failedLoads ? `${name}?${failedLoads}` : name);
  } catch {
    failedLoads += 1;
    throw new ApiError("network", 0);
  }
}

/**
 * @template T
 * @typedef {{ data: T | null, error: ApiError | null, at: number | null, refresh: () => void }} Live
 */

/**
 * Load data, and load it again every `interval(data)` milliseconds while the page is visible: more rarely while the API
 * does not respond, at once when the page is shown again or the network is back. Loaded data stays; an error is shown next to it.
 * @template T @param {string} key identifies the data; another key starts again @param {(signal: AbortSignal,
 * previous: T | null) => Promise<T>} load @param {(data: T | null) => number | null} interval null: not again
 * @param {string} [version] another version is loaded at once; the former data stays until then @returns {Live<T>}
 */
export function useLive(key, load, interval, version = "") {
  const [state, setState] = useState(
    /** @type {{ key: string, data: T | null, error: ApiError | null, at: number | null }} */ ({ key, data: null, error: null, at: null }),
  );
  const [turn, setTurn] = useState(0);
  const current = useRef({ load, interval, state });
  current.current = { load, interval, state };

  useEffect(() => {
    const abort = new AbortController();
    let timer = 0;
    let failures = 0;
    let running = false;
    /** @type {T | null} */
    let data = current.current.state.key === key ? current.current.state.data : null;

    const plan = () => {
      clearTimeout(timer);
      const pause = current.current.interval(data);
      if (pause === null && failures === 0) return;
      timer = window.setTimeout(run, Math.min((pause ?? 5000) * 2 ** failures, Math.max(SLOWEST, pause ?? 0)));
    };
    const run = async () => {
      if (document.hidden || running || abort.signal.aborted) return;
      running = true;
      try {
        data = await current.current.load(abort.signal, data);
        failures = 0;
        if (!abort.signal.aborted) setState({ key, data, error: null, at: Date.now() });
      } catch (error) {
        if (abort.signal.aborted) return;
        if (!(error instanceof ApiError)) throw error;
        failures = error.kind === "token" || error.kind === "forbidden" || error.kind === "missing" ? 9 : failures + 1;
        setState((before) => {
          const same = before.key === key;
          const kept = same && error.kind !== "missing" ? before.data : null;
          error.since = (same && before.error?.since) || Date.now();
          return { key, data: kept, error, at: kept && before.at };
        });
      } finally {
        running = false;
      }
      plan();
    };
    const wake = () => {
      if (document.hidden || (data !== null && failures === 0 && current.current.interval(data) === null)) return;
      failures = 0;
      void run();
    };
    void run();
    document.addEventListener("visibilitychange", wake);
    window.addEventListener("online", wake);
    return () => {
      abort.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", wake);
      window.removeEventListener("online", wake);
    };
  }, [key, turn, version]);

  const refresh = useCallback(() => setTurn((before) => before + 1), []);
  const { data, error, at } = state.key === key ? state : { data: null, error: null, at: null };
  return { data, error, at, refresh };
}

/** @template R @typedef {{ items: R[], next_cursor: string | null }} Page */

/**
 * The rows of a list of tasks, and the button for more: the first page is kept up to date, further ones are read once.
 * @template {{ task_id: string }} R @param {string} key of the list: another one begins with its first page
 * @param {Page<R> | null} first @param {(cursor: string | null) => Promise<Page<R>>} read
 * @param {() => void} refresh shows the error and tries again
 */
export function usePages(key, first, read, refresh) {
  const [older, setOlder] = useState(/** @type {{ key: string, rows: R[], cursor: string | null } | null} */ (null));
  const [loading, setLoading] = useState(false);
  const extra = older?.key === key ? older : null;
  const shown = new Set(first?.items.map((row) => row.task_id));
  const rows = [...(first?.items ?? []), ...(extra?.rows.filter((row) => !shown.has(row.task_id)) ?? [])];
  const cursor = extra ? extra.cursor : (first?.next_cursor ?? null);
  const more = async () => {
    setLoading(true);
    try {
      const page = await read(cursor);
      setOlder({ key, rows: [...(extra?.rows ?? []), ...page.items], cursor: page.next_cursor });
    } catch {
      refresh();
    } finally {
      setLoading(false);
    }
  };
  return { rows, more: cursor && html`<p class="more"><button type="button" disabled=${loading} onClick=${more}>${T.more}</button></p>` };
}

/**
 * A record and its parts, of one moment: the record is the same before and after, or never rests (ten tries).
 * @template R, T @param {R} before @param {() => Promise<R>} read @param {(record: R) => string} storyOf
 * @param {(record: R) => Promise<T>} load @returns {Promise<[R, T]>}
 */
export async function ofOneMoment(before, read, storyOf, load) {
  for (let tries = 1; ; tries += 1) {
    const parts = await load(before);
    const after = await read();
    if (tries === 10 || storyOf(after) === storyOf(before)) return [after, parts];
    before = after;
  }
}

/**
 * What the API answers to a GET, kept up to date. @param {string[]} path @param {import("./api.js").Query} query
 * @param {(data: any) => number | null} interval @param {string} [version] @returns {Live<any>}
 */
export const useAnswer = (path, query, interval, version) =>
  useLive(JSON.stringify([path, query, version]), (signal) => get(path, query, signal), interval);
