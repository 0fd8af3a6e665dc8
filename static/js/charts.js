// Draws what the server sent beside each chart. Needs uPlot, which the page loads first.
import { AXIS, FIGURES, longTime, ticks, tickWords, WHOLE } from "./chart_axes.js";
import { element } from "./gateway.js";

const FONT = "12px system-ui";
const LEAST_DRAG_PX = 8;
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const isoTime = (seconds) => new Date(seconds * 1000).toISOString().replace(".000", "");

/** Return the series as they are drawn: stacked bars tallest first, so that each covers the foot of the one behind
 * it, and lines on top of them. */
function drawn(chart) {
  const series = (line, values, isBar) => ({
    values,
    isBar,
    dashed: line.dashed,
    colour: css(`--c${line.colour}`),
  });
  const lines = chart.lines.filter((line) => line.dashed || chart.kind !== "bars");
  const sums = chart.x.slice(0, -1).fill(0);
  const bars = chart.lines
    .filter((line) => !lines.includes(line))
    .map((line) => {
      const values = line.values.map((value, i) => {
        sums[i] += value ?? 0;
        return sums[i];
      });
      return series(line, values, true);
    });
  return [...bars.reverse(), ...lines.map((line) => series(line, line.values, false))];
}

function seriesOptions(one, isSparse) {
  if (one.isBar)
    return {
      fill: one.colour,
      stroke: one.colour,
      width: 0,
      points: { show: false },
      paths: uPlot.paths.bars({ size: [0.72, 46], radius: 0.12 }),
    };
  return {
    stroke: one.dashed ? css("--bs-secondary-color") : one.colour,
    width: 2,
    dash: one.dashed ? [6, 4] : undefined,
    points: { show: isSparse && !one.dashed, size: 5, fill: one.colour },
    spanGaps: false,
  };
}

function axes(chart, starts, stepS) {
  const common = { stroke: css("--bs-secondary-color"), font: FONT, ticks: { show: false } };
  return [
    {
      ...common,
      grid: { show: false },
      size: 30,
      splits: (plot) => ticks(starts, stepS, plot.bbox.width / devicePixelRatio, chart.clock),
      values: (_plot, found) => found.map((seconds) => tickWords(seconds, chart.clock)),
    },
    {
      ...common,
      grid: { stroke: css("--bs-border-color"), width: 1 },
      size: 58,
      ...(chart.unit === "count" ? { incrs: WHOLE } : {}),
      values: (_plot, found) => found.map(AXIS[chart.unit]),
    },
  ];
}

function fillTip(tip, chart, i) {
  const rows = chart.lines.map((line) => {
    const dot = element("span", {
      class: `dot ${line.dashed ? "border border-secondary" : `k${line.colour}`}`,
    });
    const figure = FIGURES[chart.unit](line.values[i]);
    return element(
      "tr",
      {},
      element("td", {}, dot, line.name),
      element("td", { class: "text-end text-nowrap ps-3" }, figure),
    );
  });
  tip.replaceChildren(
    element("div", { class: "text-body-secondary mb-1" }, longTime(chart.x[i], chart.clock)),
    element("table", {}, element("tbody", {}, ...rows)),
  );
}

/** Show the figures of the step under the pointer, beside it and inside the box. */
function placeTip(plot, tip, box) {
  const left = plot.cursor.left + 70;
  const isRight = left + tip.offsetWidth + 20 > box.clientWidth;
  tip.style.left = `${Math.max(0, isRight ? left - tip.offsetWidth - 40 : left + 12)}px`;
  tip.style.top = "12px";
}

/** Return what all lines of the chart have in common in the address of their requests. */
function commonQuery(chart) {
  const [first, ...rest] = chart.lines.filter((line) => !line.dashed).map((line) => line.query);
  return Object.fromEntries(
    Object.entries(first).filter(([name, value]) => rest.every((query) => query[name] === value)),
  );
}

function openRequests(chart, i) {
  const query = new URLSearchParams({
    ...commonQuery(chart),
    since: isoTime(chart.x[i]),
    until: isoTime(chart.x[i + 1]),
  });
  location.href = `${chart.requests}?${query}`;
}

/** Open this page with the time of the steps from `first` to `last`. */
function openRange(chart, first, last) {
  const url = new URL(location.href);
  url.searchParams.delete("range");
  url.searchParams.delete("step");
  url.searchParams.set("since", isoTime(chart.x[first]));
  url.searchParams.set("until", isoTime(chart.x[last + 1]));
  location.href = url;
}

export function draw(box, chart) {
  const starts = chart.x.slice(0, -1);
  const stepS = chart.x[1] - chart.x[0];
  const series = drawn(chart);
  const canZoom = "zoom" in box.dataset;
  const tip = element("div", { class: "tip", hidden: true });
  const setCursor = (plot) => {
    const i = plot.cursor.idx;
    tip.hidden = i === null || i === undefined || plot.cursor.left < 0;
    if (tip.hidden) return;
    fillTip(tip, chart, i);
    placeTip(plot, tip, box);
  };
  const setSelect = (plot) => {
    const { left, width } = plot.select;
    if (width >= LEAST_DRAG_PX) openRange(chart, plot.posToIdx(left), plot.posToIdx(left + width));
  };
  const options = {
    width: box.clientWidth,
    height: Math.max(230, Math.min(300, box.clientWidth * 0.4)),
    padding: [12, 8, 0, 0],
    cursor: {
      y: false,
      points: { show: series.some((one) => !one.isBar) },
      drag: { x: canZoom, y: false, setScale: false },
    },
    legend: { show: false },
    scales: {
      x: { time: true, range: () => [starts[0] - stepS * 0.6, starts[starts.length - 1] + stepS * 0.6] },
      y: { range: (_plot, _low, high) => [0, (high || 1) * 1.08] },
    },
    axes: axes(chart, starts, stepS),
    series: [{}, ...series.map((one) => seriesOptions(one, starts.length < 40))],
    hooks: { setCursor: [setCursor], setSelect: [setSelect] },
  };
  const plot = new uPlot(options, [starts, ...series.map((one) => one.values)], box);
  box.append(tip);
  plot.over.style.cursor = canZoom ? "crosshair" : "pointer";
  plot.over.addEventListener("click", () => {
    const i = plot.cursor.idx;
    const isDragged = plot.select.width >= LEAST_DRAG_PX;
    if (!isDragged && i !== null && i !== undefined) openRequests(chart, i);
  });
  return plot;
}

const renewals = new WeakMap();

/** Draw every chart, again where it stands already. */
export function drawAll(root = document) {
  for (const box of root.querySelectorAll("[data-chart]")) {
    if (renewals.has(box)) {
      renewals.get(box)();
      continue;
    }
    const read = () => JSON.parse(box.querySelector("script").textContent);
    let plot = draw(box, read());
    const again = () => {
      plot.destroy();
      box.querySelector(".tip")?.remove();
      plot = draw(box, read());
    };
    renewals.set(box, again);
    new ResizeObserver(() => {
      if (Math.abs(plot.width - box.clientWidth) > 2)
        plot.setSize({ width: box.clientWidth, height: plot.height });
    }).observe(box);
    document.documentElement.addEventListener("themechange", again);
  }
}

drawAll();

// A chart that is live is drawn again when it changed, but not under the mouse.
const live = document.querySelector('[data-live="chart"]');
live?.addEventListener("live", () => {
  if (!live.matches(":hover")) drawAll(live);
});
live?.addEventListener("pointerleave", () => drawAll(live));
