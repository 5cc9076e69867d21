// The stop of generation: one bar on every page, with what still works and the way to end it.

import { useState } from "./vendor/hooks.js";
import { get, put } from "./api.js";
import { ReasonDialog } from "./heal.js";
import { html } from "./html.js";
import { T, ago } from "./language.js";
import { useLive } from "./live.js";
import { Actor, Link, Text } from "./parts.js";
import { href } from "./router.js";

/** @typedef {{ reason: string, since: import("./types").CapacityChange | null }} Stop */

/**
 * On every page while generation is stopped. The API refuses health to owners: they see it at a waiting task.
 * @param {{ operates: boolean }} props
 */
export function StoppedNote({ operates }) {
  const [asking, setAsking] = useState(false);
  const { data, refresh } = useLive(
    "stopped",
    /** @type {(signal: AbortSignal) => Promise<Stop | null>} */ ((signal) => readStop(operates, signal)),
    (stop) => (stop ? 5000 : 20_000),
  );
  if (!data?.reason) return null;
  return html`
    <div class="note bad stopped" role="status">
      <p>
        <strong>${T.health.what.generation_stopped}</strong> “<${Text} value=${data.reason} />”${" "}
        ${data.since && html`<span class="meta"><${Actor} actor=${data.since.actor} /> · ${ago(data.since.at)} · </span>`}
        <span class="meta">${T.health.stillWorks} <${Link} to=${href(["runbook", "stop-paying-for-the-model"])}>${T.health.runbook}<//></span>
      </p>
      ${operates && html`<button type="button" class="primary" onClick=${() => setAsking(true)}>${T.health.resume}</button>`}
    </div>
    ${
      asking &&
      html`<${ReasonDialog}
        heading=${T.health.resume}
        button=${T.health.resume}
        needed=${true}
        send=${(/** @type {string} */ reason) => put(["capacity"], { stopped: false, reason })}
        onClose=${() => setAsking(false)}
        onDone=${() => {
          setAsking(false);
          refresh();
        }}
      >
        <p>${T.health.resumeText}</p>
      <//>`
    }
  `;
}

/** Who has stopped it is a fact for operators. @param {boolean} operates @param {AbortSignal} signal @returns {Promise<Stop | null>} */
async function readStop(operates, signal) {
  /** @type {import("./types").Health} */
  const health = await get(["health"], {}, signal);
  const reason = health.queue.stopped_reason;
  if (reason === null) return null;
  if (!operates) return { reason, since: null };
  /** @type {import("./types").CapacityAnswer} */
  const capacity = await get(["capacity"], {}, signal);
  return { reason, since: capacity.changes.find((each) => each.stopped && !each.stopped_before) ?? null };
}
