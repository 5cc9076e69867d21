// The texts of the page, and numbers, ages and times in its language.

import { en } from "./words-en.js";
import { zh } from "./words-zh.js";

/** @typedef {"en" | "zh"} Language */

/** @type {Language} */
let language = "en";

/** The texts in the current language. @type {typeof en} */
export let T = en;

/** @param {string | null} wanted the language in the address, if any */
export function chooseLanguage(wanted) {
  const preferred = navigator.languages.find((each) => /^(en|zh)\b/i.test(each)) ?? "en";
  language = /^zh/i.test(wanted ?? preferred) ? "zh" : "en";
  T = language === "zh" ? zh : en;
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
}

export const currentLanguage = () => language;

const locale = () => (language === "zh" ? "zh-CN" : "en-GB");

/** @param {number} value */
export const number = (value) => new Intl.NumberFormat(locale()).format(value);

/** @param {number} part @param {number} whole */
export function percent(part, whole) {
  // Never "100 %" while items are missing, and never "0 %" if items are saved.
  if (whole === 0) return 0;
  if (part >= whole) return 100;
  return part > 0 ? Math.min(99, Math.max(1, Math.round((100 * part) / whole))) : 0;
}

/** @param {number} bytes */
export function size(bytes) {
  const [length, unit] = bytes < 1000 ? [1, "B"] : bytes < 1_000_000 ? [1000, "kB"] : [1_000_000, "MB"];
  return `${new Intl.NumberFormat(locale(), { maximumSignificantDigits: 3 }).format(bytes / length)} ${unit}`;
}

/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
];

/** The age of a time, in words. @param {string | number} at */
export function ago(at) {
  const seconds = Math.max(0, (Date.now() - new Date(at).getTime()) / 1000);
  for (const [unit, length] of UNITS) {
    if (seconds >= length) {
      const format = new Intl.RelativeTimeFormat(locale(), { numeric: "always", style: "short" });
      return format.format(-Math.floor(seconds / length), unit);
    }
  }
  return T.justNow;
}

/** A time with its date. @param {string | number} at */
export const moment = (at) =>
  new Intl.DateTimeFormat(locale(), { dateStyle: "medium", timeStyle: "medium" }).format(new Date(at));

/** A duration. @param {number} seconds */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return T.seconds(whole);
  if (whole < 3600) return T.minutes(Math.floor(whole / 60), whole % 60);
  return T.hours(Math.floor(whole / 3600), Math.floor((whole % 3600) / 60));
}
