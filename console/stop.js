// The stop of generation: one bar on every page, with what still works and the way to end it.

import { useState } from "./vendor/hooks.js";
import { get, put } from "./api.js";
import { ReasonField, Refusal, useRequest } from "./heal.js";
import { html } from "./html.js";
import { T, ago } from "./language.js";
import { useLive } from "./live.js";
import { Actor, Dialog, Link, Text } from "./parts.js";
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
    () => 20_000,
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
      html`<${ResumeDialog}
        onClose=${() => {
          setAsking(false);
          refresh();
        }}
      />`
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

/** @param {{ onClose: () => void }} props */
function ResumeDialog({ onClose }) {
  const resume = useRequest();
  const [reason, setReason] = useState("");
  const [asked, setAsked] = useState(false);
  const start = async () => {
    setAsked(true);
    if (reason.trim() && (await resume.run(() => put(["capacity"], { stopped: false, reason: reason.trim() })))) onClose();
  };
  return html`
    <${Dialog} heading=${T.health.resume} onClose=${onClose}>
      <p>${T.health.resumeText}</p>
      <${ReasonField} value=${reason} onInput=${setReason} missing=${asked && !reason.trim()} />
      ${resume.error && html`<${Refusal} error=${resume.error} />`}
      <div class="actions">
        <button type="button" class="primary" disabled=${resume.busy} onClick=${start}>${T.health.resume}</button>
        <button type="button" onClick=${onClose}>${T.cancel}</button>
      </div>
    <//>
  `;
}
