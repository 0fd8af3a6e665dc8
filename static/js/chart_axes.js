// What stands at the axes of a chart: ticks on round times of the viewer's zone, and short figures.
import { duration, num, short } from "./gateway.js";

const MINUTES_A_DAY = 1440;
const ROUND_MINUTES = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, MINUTES_A_DAY];
const ROUND_STEPS = [1, 2, 7, 14, 28, 56];
const TICK_PX = 72;

const lang = document.documentElement.lang;
const zone = document.documentElement.dataset.zone;
const days = new Intl.DateTimeFormat(lang, { month: "short", day: "numeric", timeZone: zone });
const clock = new Intl.DateTimeFormat(lang, {
  hour: "2-digit",
  minute: "2-digit",
  hourCycle: "h23",
  timeZone: zone,
});

/** Return the minutes since the viewer's midnight of an instant in unix seconds. */
function minuteOfDay(seconds) {
  const parts = clock.formatToParts(new Date(seconds * 1000));
  const value = (type) => Number(parts.find((part) => part.type === type).value);
  return value("hour") * 60 + value("minute");
}

/** Return the starts of steps (unix seconds, equally long) that get a tick on an axis of `width` pixels. */
export function ticks(starts, stepS, width, hasClock) {
  const fitting = Math.max(1, Math.floor(width / TICK_PX));
  const stepMinutes = stepS / 60;
  if (hasClock && stepMinutes < MINUTES_A_DAY) {
    const every = ROUND_MINUTES.find(
      (minutes) => minutes >= stepMinutes && (starts.length * stepMinutes) / minutes <= fitting,
    );
    // Some zones are off by a part of an hour: counted in steps, their ticks are round as well.
    if (every)
      return starts.filter((s) => Math.floor(minuteOfDay(s) / stepMinutes) % (every / stepMinutes) === 0);
    return thinned(
      starts.filter((s) => minuteOfDay(s) < stepMinutes),
      fitting,
    );
  }
  return thinned(starts, fitting);
}

function thinned(starts, fitting) {
  const every =
    ROUND_STEPS.find((steps) => starts.length / steps <= fitting) ?? Math.ceil(starts.length / fitting);
  return starts.filter((_, i) => i % every === 0);
}

/** Return the words of a tick: the day at midnight and where steps are days, else the time. */
export function tickWords(seconds, hasClock) {
  const at = new Date(seconds * 1000);
  return hasClock && minuteOfDay(seconds) >= 60 ? clock.format(at) : days.format(at);
}

/** Return an instant as the tip of a chart says it. */
export function longTime(seconds, hasClock) {
  const at = new Date(seconds * 1000);
  return hasClock ? `${days.format(at)} ${clock.format(at)}` : days.format(at);
}

function shortDuration(ms) {
  if (ms < 1000) return `${num(ms)} ms`;
  return ms < 60_000 ? `${num(ms / 1000, 1)} s` : `${num(ms / 60_000, 1)} min`;
}

/** Words of a figure by unit, at the axis. */
export const AXIS = {
  count: short,
  ms: (value) => (value === 0 ? "0" : shortDuration(value)),
  rate: short,
  percent: (value) => `${num(value * 100, 1)}%`,
};

const known = (words) => (value) => (value === null || value === undefined ? "–" : words(value));
/** Words of a figure by unit, in the tip. */
export const FIGURES = {
  count: known(num),
  ms: duration,
  rate: known((value) => `${num(value, 1)} tok/s`),
  percent: known((value) => `${num(value * 100, 1)}%`),
};
/** Steps of an axis that counts: whole numbers only. */
export const WHOLE = [1, 2, 5]
  .flatMap((n) => Array.from({ length: 13 }, (_, e) => n * 10 ** e))
  .sort((a, b) => a - b);
