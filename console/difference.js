// The difference of two texts: their lines side by side, and within a changed line its words. No I/O.

/** @typedef {{ text: string, changed: boolean }} Piece */
/** A line of each side; null where only the other side has one. @typedef {{ same: boolean, left: Piece[] | null, right: Piece[] | null }} Row */

const MOST_CELLS = 4_000_000;
const CONTEXT = 2;

/** The lines of two texts in rows. @param {string[]} left @param {string[]} right @returns {Row[]} */
export function sideBySide(left, right) {
  /** @type {Row[]} */
  const rows = [];
  for (const { same, one, other } of runs(left, right)) {
    for (let k = 0; k < Math.max(one.length, other.length); k += 1) {
      const [before, after] = [one[k], other[k]];
      if (same && before !== undefined) rows.push({ same, left: whole(before, false), right: whole(before, false) });
      else if (before !== undefined && after !== undefined) rows.push({ same, ...byWords(before, after) });
      else rows.push({ same, left: before === undefined ? null : whole(before, true), right: after === undefined ? null : whole(after, true) });
    }
  }
  return rows;
}

/** Which rows are shown while common ones are folded. @param {Row[]} rows @returns {boolean[]} */
export function unfolded(rows) {
  const near = rows.map((_, k) => rows.slice(Math.max(0, k - CONTEXT), k + CONTEXT + 1).some((row) => !row.same));
  // A single line takes no more space than the sign in its place.
  return near.map((each, k) => each || (near[k - 1] !== false && near[k + 1] !== false));
}

/** @param {string} text @param {boolean} changed @returns {Piece[]} */
const whole = (text, changed) => [{ text, changed }];

// A Chinese character is a word.
const WORDS = /\p{Script=Han}|[\p{L}\p{N}_]+|\s+|[^]/gu;

/** @param {string} before @param {string} after */
function byWords(before, after) {
  /** @type {Piece[]} */
  const left = [];
  /** @type {Piece[]} */
  const right = [];
  for (const { same, one, other } of runs(before.match(WORDS) ?? [], after.match(WORDS) ?? [])) {
    add(left, one.join(""), !same);
    add(right, other.join(""), !same);
  }
  // If almost nothing is common, single common words only disturb.
  const common = left.reduce((sum, piece) => sum + (piece.changed ? 0 : piece.text.length), 0);
  if (common * 4 < Math.max(before.length, after.length)) return { left: whole(before, true), right: whole(after, true) };
  return { left, right };
}

/** A common space between two changes is part of the change. @param {Piece[]} pieces @param {string} text @param {boolean} changed */
function add(pieces, text, changed) {
  if (!text) return;
  const [before, space] = pieces.slice(-2);
  if (changed && before?.changed && space && !space.text.trim()) pieces.splice(-2, 2, { text: before.text + space.text + text, changed });
  else pieces.push({ text, changed });
}

/**
 * Runs of common and of different entries, in order, by a longest common subsequence.
 * @param {string[]} left @param {string[]} right @returns {{ same: boolean, one: string[], other: string[] }[]}
 */
function runs(left, right) {
  let start = 0;
  while (start < left.length && start < right.length && left[start] === right[start]) start += 1;
  let end = 0;
  while (end < Math.min(left.length, right.length) - start && left.at(-1 - end) === right.at(-1 - end)) end += 1;
  const one = left.slice(start, left.length - end);
  const other = right.slice(start, right.length - end);
  const found = [{ same: true, one: left.slice(0, start), other: right.slice(0, start) }, ...middle(one, other)];
  found.push({ same: true, one: left.slice(left.length - end), other: right.slice(right.length - end) });
  return found.filter((run) => run.one.length + run.other.length > 0);
}

/** @param {string[]} one @param {string[]} other */
function middle(one, other) {
  const width = other.length + 1;
  if (one.length * other.length > MOST_CELLS) return [{ same: false, one, other }];
  // The length of the longest common subsequence of what follows each pair of places.
  const lengths = new Uint16Array((one.length + 1) * width);
  const at = (/** @type {number} */ i, /** @type {number} */ j) => lengths[i * width + j] ?? 0;
  for (let i = one.length - 1; i >= 0; i -= 1) {
    for (let j = other.length - 1; j >= 0; j -= 1) {
      lengths[i * width + j] = one[i] === other[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  /** @type {{ same: boolean, one: string[], other: string[] }[]} */
  const found = [];
  /** @param {boolean} same @param {string[]} first @param {string[]} second */
  const extend = (same, first, second) => {
    const last = found.at(-1);
    if (last?.same !== same) found.push({ same, one: first, other: second });
    else {
      last.one.push(...first);
      last.other.push(...second);
    }
  };
  let [i, j] = [0, 0];
  while (i < one.length || j < other.length) {
    const [first, second] = [one.slice(i, i + 1), other.slice(j, j + 1)];
    if (i < one.length && j < other.length && one[i] === other[j]) {
      extend(true, first, second);
      i += 1;
      j += 1;
    } else if (j >= other.length || (i < one.length && at(i + 1, j) >= at(i, j + 1))) {
      extend(false, first, []);
      i += 1;
    } else {
      extend(false, [], second);
      j += 1;
    }
  }
  return found;
}
