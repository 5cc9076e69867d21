// The dialogs of all changing actions. Each first shows a preview.

import { useEffect, useState } from "./vendor/hooks.js";
import { ApiError, post } from "./api.js";
import { TYPES } from "./content-types.js";
import { html } from "./html.js";
import { T, number } from "./language.js";
import { Dialog, Text, errorSentence, sum } from "./parts.js";
import { go, href } from "./router.js";

/** @typedef {Record<string, number>} Counts */
/** @typedef {{ task_id: string, user_id: string }} TaskName */

/** A request that is sent on demand: its result, and whether it is in progress. */
export function useRequest() {
  const [state, setState] = useState(
    /** @type {{ busy: boolean, answer: any, error: ApiError | null }} */ ({ busy: false, answer: null, error: null }),
  );
  /** @param {() => Promise<any>} send @returns {Promise<any>} the answer, or null */
  const run = async (send) => {
    // The shown content stays until it is replaced, so that a button under the pointer does not
    // disappear.
    setState((before) => ({ busy: true, answer: before.answer, error: null }));
    try {
      const answer = await send();
      setState({ busy: false, answer, error: null });
      return answer;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      setState({ busy: false, answer: null, error });
      return null;
    }
  };
  return { ...state, run };
}

/** @param {{ staged: Counts, toGenerate: Counts, tokens: number | null, basis?: string, tasks?: number, minutes?: number | null }} props */
function Preview({ staged, toGenerate, tokens, basis, tasks, minutes }) {
  const generate = sum(toGenerate);
  const spent = generate === 0 ? T.heal.free : tokens === null ? T.none : number(tokens);
  return html`
    <section class="preview" aria-label=${T.heal.preview}>
      <dl class="tiles">
        ${tasks !== undefined && html`<div><dt>${T.heal.tasksCount(tasks)}</dt><dd>${number(tasks)}</dd></div>`}
        <div><dt>${T.heal.fromStaging}</dt><dd>${number(sum(staged))}</dd></div>
        <div><dt>${T.heal.toGenerate}</dt><dd>${number(generate)}</dd></div>
        <div><dt>${T.heal.aboutTokens}</dt><dd>${spent}</dd></div>
        ${minutes !== undefined && minutes !== null && html`<div><dt>${T.heal.aboutMinutes(Math.ceil(minutes))}</dt><dd>${number(Math.ceil(minutes))}</dd></div>`}
      </dl>
      ${
        generate + sum(staged) > 0 &&
        html`<p class="meta">
          ${TYPES.filter((type) => (staged[type] ?? 0) + (toGenerate[type] ?? 0) > 0)
            .map((type) => {
              const parts = [
                [staged[type] ?? 0, T.heal.fromStaging],
                [toGenerate[type] ?? 0, T.heal.toGenerate],
              ].filter(([count]) => count);
              return `${T.typesMany[type]}${T.colon}${parts.map(([count, what]) => `${number(Number(count))} ${what}`).join(T.comma)}`;
            })
            .join(" · ")}
        </p>`
      }
      ${generate > 0 && basis && T.heal.basis[basis] && html`<p class="meta">${T.heal.basis[basis]}</p>`}
    </section>
  `;
}

/** @param {{ value: string, onInput: (value: string) => void, missing?: boolean }} props */
export function ReasonField({ value, onInput, missing }) {
  return html`
    <div class="field">
      <label for="reason">${T.heal.reason}</label>
      <textarea
        id="reason"
        rows="2"
        maxlength="500"
        value=${value}
        aria-describedby="reason-help"
        aria-invalid=${missing ? "true" : undefined}
        onInput=${(/** @type {any} */ event) => onInput(event.currentTarget.value)}
      ></textarea>
      <span id="reason-help" class=${missing ? "invalid" : "meta"}>${missing ? T.heal.reasonNeeded : T.heal.reasonHelp}</span>
    </div>
  `;
}

/** @param {{ error: ApiError }} props */
export const Refusal = ({ error }) => html`
  <div class="note ${error.kind === "conflict" ? "warn" : "bad"}" role="alert">
    <p>${errorSentence(error)}</p>
    ${error.code && html`<p class="meta"><code>${error.code}</code>${T.conflicts[error.code] && error.message && html` <${Text} value=${error.message} />`}</p>`}
  </div>
`;

/**
 * Retry a task, or a part of it.
 * @param {{
 *   task: TaskName, first?: boolean, part?: { concept_id?: string, content_type?: string, regenerate?: boolean, revision?: string },
 *   what?: string, onClose: () => void, onDone: (message: string) => void,
 * }} props
 */
export function RetryDialog({ task, first, part: { revision, ...part } = {}, what, onClose, onDone }) {
  const preview = useRequest();
  const retry = useRequest();
  const [reason, setReason] = useState("");
  const [instruction, setInstruction] = useState("");
  const [takeOver, setTakeOver] = useState(false);

  /** @param {Record<string, any>} own @param {object} [body] */
  const send = (own, body) =>
    post(["tasks", task.task_id, "retry"], { user_id: task.user_id, ...part, take_over: takeOver || own.take_over, ...own }, body);

  useEffect(() => void preview.run(() => send({ dry_run: true })), [takeOver]);

  const start = async () => {
    const change = instruction.trim() ? { instruction: instruction.trim(), revision } : undefined;
    const answer = await retry.run(() => send({ reason: reason.trim() }, change));
    if (answer) onDone(answer.status === "processing" ? T.heal.started : T.heal.corrected);
  };
  const found = /** @type {import("./types").RetryPreview | null} */ (preview.answer);
  const elsewhere = [preview.error, retry.error].some((error) => error?.code === "AtWorkElsewhere");
  return html`
    <${Dialog} heading=${part.regenerate ? T.heal.regenerateHeading : first ? T.heal.firstHeading : T.heal.retryHeading} onClose=${onClose}>
      ${what && html`<p><bdi>${what}</bdi></p>`} ${part.regenerate && html`<p>${T.heal.regenerateText}</p>`}
      ${preview.busy && html`<p role="status">${T.heal.previewing}</p>`}
      ${preview.error && html`<${Refusal} error=${preview.error} />`}
      ${
        found &&
        (found.total_items === 0
          ? html`<p>${T.heal.nothingMissing}</p>`
          : html`<${Preview} staged=${found.staged} toGenerate=${found.to_generate} tokens=${found.estimated_tokens} basis=${found.estimate_basis} />`)
      }
      ${
        found &&
        part.regenerate &&
        html`<div class="field">
          <label for="instruction">${T.heal.instruction}</label>
          <textarea id="instruction" rows="3" maxlength="2000" aria-describedby="instruction-help" onInput=${(/** @type {any} */ event) => setInstruction(event.currentTarget.value)}></textarea>
          <span id="instruction-help" class="meta">${T.heal.instructionHelp}</span>
        </div>`
      }
      ${found && html`<${ReasonField} value=${reason} onInput=${setReason} />`}
      ${retry.error && html`<${Refusal} error=${retry.error} />`}
      <div class="actions">
        ${elsewhere && !takeOver && html`<button type="button" class="danger" onClick=${() => setTakeOver(true)}>${T.heal.takeOver}</button>`}
        ${
          found &&
          html`<button type="button" class="primary" disabled=${retry.busy} onClick=${start}>
            ${found.total_items === 0 ? T.task.finalize : first ? T.task.start : part.regenerate ? T.task.regenerate : T.heal.startRetry}
          </button>`
        }
        <button type="button" onClick=${onClose}>${T.cancel}</button>
      </div>
    <//>
  `;
}

/**
 * A change without a preview: its text, a reason, and the request. `back` is the button that changes nothing.
 * @param {{
 *   heading: string, button: string, danger?: boolean, back?: string, needed?: boolean, children: any,
 *   send: (reason: string) => Promise<any>, onClose: () => void, onDone: (answer: any) => void,
 * }} props
 */
export function ReasonDialog({ heading, button, danger, back = T.cancel, needed, children, send, onClose, onDone }) {
  const request = useRequest();
  const [reason, setReason] = useState("");
  const [asked, setAsked] = useState(false);
  const missing = needed && !reason.trim();
  const start = async () => {
    setAsked(true);
    if (missing) return;
    const answer = await request.run(() => send(reason.trim()));
    if (answer) onDone(answer);
  };
  return html`
    <${Dialog} heading=${heading} onClose=${onClose}>
      ${children}
      <${ReasonField} value=${reason} onInput=${setReason} missing=${asked && missing} />
      ${request.error && html`<${Refusal} error=${request.error} />`}
      <div class="actions">
        <button type="button" class=${danger ? "danger" : "primary"} disabled=${request.busy} onClick=${start}>${button}</button>
        <button type="button" onClick=${onClose}>${back}</button>
      </div>
    <//>
  `;
}

/** @param {{ task: TaskName, onClose: () => void, onDone: (message: string) => void }} props */
export const RedriveDialog = ({ task, onClose, onDone }) => html`
  <${ReasonDialog}
    heading=${T.heal.redriveHeading}
    button=${T.heal.startRedrive}
    send=${(/** @type {string} */ reason) => post(["tasks", task.task_id, "retry"], { user_id: task.user_id, force_checkpoint: true, reason })}
    onClose=${onClose}
    onDone=${() => onDone(T.heal.redriven)}
  >
    <p>${T.heal.redriveText}</p>
  <//>
`;

/** @param {{ task: TaskName, onClose: () => void, onDone: (message: string) => void }} props */
export const CancelDialog = ({ task, onClose, onDone }) => html`
  <${ReasonDialog}
    heading=${T.heal.cancelHeading}
    button=${T.heal.startCancel}
    danger=${true}
    back=${T.heal.keep}
    send=${(/** @type {string} */ reason) => post(["tasks", task.task_id, "cancel"], { user_id: task.user_id, reason })}
    onClose=${onClose}
    onDone=${() => onDone(T.heal.cancelled)}
  >
    <p>${T.heal.cancelText}</p>
  <//>
`;

/**
 * @param {{
 *   item: import("./revisions.js").ItemName, revision: { id: string, name: string },
 *   onClose: () => void, onDone: (message: string) => void,
 * }} props
 */
export const RestoreDialog = ({ item, revision, onClose, onDone }) => html`
  <${ReasonDialog}
    heading=${T.revisions.restoreHeading}
    button=${T.revisions.startRestore}
    send=${(/** @type {string} */ reason) =>
      post(["tasks", item.taskId, "items", item.type, "revisions", "-", "restore"], { user_id: item.userId, concept_id: item.conceptId, exact: revision.id, reason })}
    onClose=${onClose}
    onDone=${(/** @type {any} */ answer) => onDone(answer.restored ? T.revisions.restored : T.revisions.alreadyCurrent)}
  >
    <p><${Text} value=${item.name} /> · ${T.types[item.type] ?? item.type}</p>
    <p><strong>${revision.name}</strong></p>
    <p>${T.revisions.restoreText}${item.type === "tutorial" ? ` ${T.revisions.nextVersion}` : ""}</p>
  <//>
`;

/** @param {string} text @returns {number | undefined} a whole number, if there is one */
const whole = (text) => (/^\d+$/.test(text.trim()) ? Number(text) : undefined);

/** The limits of a recovery, with their least numbers. */
const LIMITS = /** @type {const} */ ([["canary", 0], ["breaker", 0], ["rate_per_minute", 1], ["concurrency", 1], ["token_budget", 1]]);

/**
 * Start a recovery over all tasks that a filter matches.
 * @param {{ filter: import("./types").RecoveryFilter, scope: string, onClose: () => void }} props
 */
export function RecoveryDialog({ filter, scope, onClose }) {
  const preview = useRequest();
  const start = useRequest();
  const [reason, setReason] = useState("");
  const [asked, setAsked] = useState(false);
  const [limits, setLimits] = useState({ canary: "5", breaker: "10", rate_per_minute: "60", concurrency: "10", token_budget: "" });
  const [allMissing, setAllMissing] = useState(false);

  /** @param {{ dry: boolean }} options */
  const body = ({ dry }) => ({
    filter: { ...filter, all_missing: allMissing },
    reason: reason.trim() || "preview",
    // Without a number, the API has its own: no canary and no breaker are a decision.
    ...Object.fromEntries(LIMITS.map(([id]) => [id, whole(limits[id])])),
    dry_run: dry,
  });
  const look = () => void preview.run(() => post(["recoveries"], {}, body({ dry: true })));
  useEffect(look, [allMissing]);

  const submit = async () => {
    setAsked(true);
    if (!reason.trim()) return;
    const answer = await start.run(() => post(["recoveries"], {}, body({ dry: false })));
    if (answer) go(href(["recoveries", answer.recovery_id]));
  };
  const found = /** @type {import("./types").RecoveryPreview | null} */ (preview.answer);
  return html`
    <${Dialog} heading=${T.heal.recoveryHeading} onClose=${onClose}>
      <p>${scope}</p>
      ${preview.busy && !found && html`<p role="status">${T.heal.previewing}</p>`}
      ${preview.error && html`<${Refusal} error=${preview.error} />`}
      ${
        found &&
        html`<${Preview}
          tasks=${found.tasks}
          staged=${found.items.staged}
          toGenerate=${found.items.to_generate}
          tokens=${found.estimated_tokens}
          minutes=${found.estimated_minutes}
        />`
      }
      ${found && found.tasks === 0 && html`<p>${T.heal.nothingToDo}</p>`}
      ${
        found &&
        found.other_items > 0 &&
        html`<label class="check">
          <input type="checkbox" checked=${allMissing} onChange=${(/** @type {any} */ event) => setAllMissing(event.currentTarget.checked)} />
          <span>${T.heal.allMissing(T.items(found.other_items))} · ${T.heal.price}${T.colon}${found.other_tokens === null ? T.none : found.other_tokens ? T.tokens(found.other_tokens) : T.heal.free}</span>
        </label>`
      }
      ${
        found &&
        sum(found.refused) > 0 &&
        html`<div class="note warn">
          <p>${T.heal.refused}</p>
          <ul>
            ${Object.entries(found.refused).map(
              ([code, count]) => html`<li key=${code}><strong>${number(count)}</strong> <code>${code}</code> ${T.conflicts[code] ?? T.reasons[code] ?? ""}</li>`,
            )}
          </ul>
        </div>`
      }
      <${ReasonField} value=${reason} onInput=${setReason} missing=${asked && !reason.trim()} />
      <div class="fields">
        ${LIMITS.map(([id, min]) => {
          const help = T.heal.help[id];
          return html`<div class="field" key=${id}>
            <label for=${id}>${T.heal[id]}</label>
            <input
              id=${id}
              aria-describedby=${help ? `${id}-help` : undefined}
              type="number"
              inputmode="numeric"
              min=${min}
              step="1"
              value=${limits[id]}
              onInput=${(/** @type {any} */ event) => setLimits({ ...limits, [id]: event.currentTarget.value })}
              onChange=${id === "rate_per_minute" ? look : undefined}
            />
            ${help && html`<span id="${id}-help" class="meta">${help}</span>`}
          </div>`;
        })}
      </div>
      ${start.error && html`<${Refusal} error=${start.error} />`}
      <div class="actions">
        <button
          type="button"
          class="primary"
          disabled=${start.busy || !found || found.tasks === 0}
          onClick=${submit}
        >
          ${T.heal.startRecovery}
        </button>
        <button type="button" onClick=${onClose}>${T.cancel}</button>
      </div>
    <//>
  `;
}
