// Draws what the server sent beside each chart. Needs uPlot, which the page loads first.
import { short } from "./gateway.js";

const HOUR_S = 3600;
const DAY_S = 86400;
const TIME_STEPS_S = [
  ...[1, 2, 5, 10, 15, 30].map((minutes) => minutes * 60),
  ...[1, 2, 3, 6, 12].map((hours) => hours * HOUR_S),
  ...[1, 2, 7, 14, 30, 90, 365].map((days) => days * DAY_S),
];
const WHOLE_STEPS = Array.from({ length: 39 }, (_, i) => [1, 2, 5][i % 3] * 10 ** Math.floor(i / 3));
const TICK_PX = 72;
const LAST_TICK_PX = 24;
const LEAST_DRAG_PX = 8;

const { lang, dataset } = document.documentElement;
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const { format: num } = new Intl.NumberFormat(lang, { maximumFractionDigits: 1 });
const { format: percent } = new Intl.NumberFormat(lang, { style: "percent", maximumFractionDigits: 1 });

/** Words of a figure by its unit. */
const WORDS = {
  count: num,
  ms(value) {
    if (value < 1000) return `${num(value)} ms`;
    return value < 60_000 ? `${num(value / 1000)} s` : `${num(value / 60_000)} min`;
  },
  rate: (value) => `${num(value)} tok/s`,
  percent,
};

/** Return how instants in unix seconds are written in the viewer's zone. */
function timeFormat(options) {
  const format = new Intl.DateTimeFormat(lang, { hourCycle: "h23", timeZone: dataset.zone, ...options });
  return (seconds) => format.format(seconds * 1000);
}

const DAY = { month: "short", day: "numeric" };
const CLOCK = { hour: "2-digit", minute: "2-digit" };
const day = timeFormat(DAY);
const clock = timeFormat(CLOCK);
const tickWords = (seconds) => (clock(seconds) === "00:00" ? day(seconds) : clock(seconds));

function axes(unit, stepS) {
  const common = { stroke: css("--bs-secondary-color"), font: "12px system-ui", ticks: { show: false } };
  const figures = ["count", "rate"].includes(unit) ? short : WORDS[unit];
  return [
    {
      ...common,
      grid: { show: false },
      size: 30,
      gap: 8,
      space: TICK_PX,
      incrs: TIME_STEPS_S.filter((seconds) => seconds >= stepS),
      values: (_plot, found) => found.map(tickWords),
    },
    {
      ...common,
      grid: { stroke: css("--bs-border-color"), width: 1 },
      size: 58,
      ...(unit === "count" && { incrs: WHOLE_STEPS }),
      values: (_plot, found) => found.map(figures),
    },
  ];
}

/** Return how a line is drawn; the tip says its own figures, not the sums of a stack. */
function seriesOptions({ name, values, dashed, colour }, { kind, unit }) {
  const look = {
    label: name,
    value: (_plot, _sum, _series, i) => (values[i] === null ? "–" : WORDS[unit](values[i])),
    stroke: dashed ? css("--bs-secondary-color") : css(`--c${colour}`),
  };
  if (kind === "bars" && !dashed)
    return {
      ...look,
      fill: look.stroke,
      width: 0,
      points: { show: false },
      paths: uPlot.paths.bars({ size: [0.72, 46] }),
    };
  const isSparse = values.length < 40;
  return { ...look, width: 2, dash: dashed && [6, 4], points: { show: isSparse && !dashed, size: 5 } };
}

/** Return what is drawn of each line: bars stand on each other. */
function drawnValues({ kind, lines }) {
  const sums = lines[0].values.map(() => 0);
  const stacked = (value, i) => {
    sums[i] += value;
    return sums[i];
  };
  return lines.map(({ values, dashed }) => (dashed || kind === "lines" ? values : values.map(stacked)));
}

/** Show the figures of the step under the pointer, beside it and inside the box. */
function placeTip({ cursor: { idx, left }, root: box }) {
  const tip = box.querySelector(".u-legend");
  tip.hidden = idx === null || left < 0;
  const place = left + 70;
  const isRight = place + tip.offsetWidth + 20 > box.clientWidth;
  tip.style.left = `${Math.max(0, isRight ? place - tip.offsetWidth - 40 : place + 12)}px`;
}

/** Open an address with the time of the steps from `first` to `last`. */
function open(address, { x }, first, last) {
  const url = new URL(address, location.href);
  for (const name of ["range", "step"]) url.searchParams.delete(name);
  url.searchParams.set("since", new Date(x[first] * 1000).toISOString());
  url.searchParams.set("until", new Date(x[last + 1] * 1000).toISOString());
  location.href = url;
}

function draw(box) {
  const chart = JSON.parse(box.querySelector("script").textContent);
  const starts = chart.x.slice(0, -1);
  const stepS = chart.x[1] - chart.x[0];
  const isStack = chart.kind === "bars";
  const canZoom = "zoom" in box.dataset;
  const bars = isStack ? chart.lines.filter((line) => !line.dashed) : [];
  const setSelect = (plot) => {
    const { left, width } = plot.select;
    open(location.href, chart, plot.posToIdx(left), plot.posToIdx(left + width));
  };
  const options = {
    width: box.clientWidth,
    height: Math.max(230, Math.min(300, box.clientWidth * 0.4)),
    padding: [12, LAST_TICK_PX, 0, 0],
    cursor: {
      y: false,
      points: { show: !isStack },
      drag: { x: canZoom, y: false, setScale: false, dist: LEAST_DRAG_PX },
    },
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), dataset.zone),
    scales: {
      x: { range: () => [starts[0] - stepS * 0.6, starts.at(-1) + stepS * 0.6] },
      y: { range: (_plot, _low, high) => [0, (high || 1) * 1.08] },
    },
    axes: axes(chart.unit, stepS),
    series: [
      { value: (_plot, seconds) => timeFormat(chart.clock ? { ...DAY, ...CLOCK } : DAY)(seconds) },
      ...chart.lines.map((line) => seriesOptions(line, chart)),
    ],
    bands: bars
      .slice(1)
      .map((line) => chart.lines.indexOf(line))
      .map((i) => ({ series: [i + 1, i] })),
    hooks: { setCursor: [placeTip], setSelect: [setSelect] },
  };
  const plot = new uPlot(options, [starts, ...drawnValues(chart)], box);
  plot.over.style.cursor = canZoom ? "crosshair" : "pointer";
  plot.over.addEventListener("click", () => {
    const i = plot.cursor.idx;
    if (i !== null) open(chart.requests, chart, i, i);
  });
  return plot;
}

const redraws = new WeakMap();

/** Draw a chart, again where it stands already. */
function show(box) {
  redraws.get(box)?.();
  if (redraws.has(box)) return;
  let plot = draw(box);
  const again = () => {
    plot.destroy();
    plot = draw(box);
  };
  redraws.set(box, again);
  new ResizeObserver(() => {
    if (Math.abs(plot.width - box.clientWidth) > 2)
      plot.setSize({ width: box.clientWidth, height: plot.height });
  }).observe(box);
  document.documentElement.addEventListener("themechange", again);
}

const showAll = () => document.querySelectorAll("[data-chart]").forEach(show);
showAll();

// A chart that is live is drawn again when it changed, but not under the mouse.
const live = document.querySelector('[data-live="chart"]');
live?.addEventListener("live", () => {
  if (!live.matches(":hover")) showAll();
});
live?.addEventListener("pointerleave", showAll);
