// The shapes of an item's states. Saved items are small squares; all other states have a larger shape to be noticed.

/** The states by importance, worst first. */
export const STATES = ["F", "M", "G", "T", "S"];

/**
 * The outline of a state's shape around a point; r is half its width. Fill rule: even-odd.
 * @param {string} state @param {number} x @param {number} y @param {number} r
 */
export function outline(state, x, y, r) {
  switch (state) {
    case "F": {
      const a = r * 0.95;
      const b = r * 0.4;
      return (
        `M${x - a} ${y - a + b}L${x - a + b} ${y - a}L${x} ${y - b}L${x + a - b} ${y - a}L${x + a} ${y - a + b}L${x + b} ${y}` +
        `L${x + a} ${y + a - b}L${x + a - b} ${y + a}L${x} ${y + b}L${x - a + b} ${y + a}L${x - a} ${y + a - b}L${x - b} ${y}Z`
      );
    }
    case "G":
      return `M${x - r} ${y}A${r} ${r} 0 1 1 ${x + r} ${y}A${r} ${r} 0 1 1 ${x - r} ${y}Z`;
    case "M": {
      const i = r * 0.58;
      return square(x, y, r * 0.92) + square(x, y, i);
    }
    case "T":
      return `M${x} ${y - r}L${x + r} ${y}L${x} ${y + r}L${x - r} ${y}Z`;
    default:
      return square(x, y, r * 0.42);
  }
}

/** @param {number} x @param {number} y @param {number} r */
const square = (x, y, r) => `M${x - r} ${y - r}H${x + r}V${y + r}H${x - r}Z`;
