// Draws what the server sent beside each chart. Needs uPlot, which the page loads first.
import { duration, element, num, short } from "./gateway.js";

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const FIGURES = {
  count: (v) => (v === null ? "–" : num(v)),
  ms: duration,
  rate: (v) => (v === null ? "–" : `${num(v, 1)} tok/s`),
  percent: (v) => (v === null ? "–" : `${num(v * 100, 1)} %`),
};
const WHOLE = [1, 2, 5]
  .flatMap((n) => Array.from({ length: 13 }, (_, e) => n * 10 ** e))
  .sort((a, b) => a - b);
const AXIS = {
  count: short,
  ms: (v) => (v === 0 ? "0" : duration(v)),
  rate: short,
  percent: (v) => `${num(v * 100, 1)} %`,
};

function stacked(lines) {
  const sums = new Array(lines[0].values.length).fill(0);
  return lines.map((line) => line.values.map((value, i) => (sums[i] += value ?? 0)));
}

export function draw(box, chart) {
  const lang = document.documentElement.lang;
  const isBars = chart.kind === "bars";
  const x = chart.x.slice(0, -1);
  const step = chart.x[1] - chart.x[0];
  const total = isBars ? stacked(chart.lines) : null;
  // Bars are drawn tallest first, so that each covers the foot of the one behind it.
  const order = chart.lines.map((_, i) => i);
  if (isBars) order.reverse();
  const data = [x, ...order.map((i) => (isBars ? total[i] : chart.lines[i].values))];
  const zone = document.documentElement.dataset.zone;
  const days = new Intl.DateTimeFormat(lang, { month: "short", day: "numeric", timeZone: zone });
  const clock = new Intl.DateTimeFormat(lang, {
    hour: "2-digit",
    minute: "2-digit",
    hour12: false,
    timeZone: zone,
  });
  const long = new Intl.DateTimeFormat(lang, {
    month: "short",
    day: "numeric",
    hour: chart.clock ? "2-digit" : undefined,
    minute: chart.clock ? "2-digit" : undefined,
    hour12: false,
    timeZone: zone,
  });
  const tip = element("div", { class: "tip", hidden: true });
  const midnight = (s) =>
    clock.format(new Date(s * 1000)).startsWith("00:00") ||
    clock.format(new Date(s * 1000)).startsWith("24:00");

  const options = {
    width: box.clientWidth,
    height: Math.max(230, Math.min(300, box.clientWidth * 0.4)),
    padding: [12, 8, 0, 0],
    cursor: { y: false, points: { show: !isBars }, drag: { x: false, y: false } },
    legend: { show: false },
    scales: {
      x: { time: true, range: () => [x[0] - step * 0.6, x[x.length - 1] + step * 0.6] },
      y: { range: (_u, _low, high) => [0, (high || 1) * 1.08] },
    },
    axes: [
      {
        stroke: css("--bs-secondary-color"),
        grid: { show: false },
        ticks: { show: false },
        font: "12px system-ui",
        space: 64,
        size: 30,
        values: (_u, ticks) =>
          ticks.map((s) =>
            chart.clock && !midnight(s) ? clock.format(new Date(s * 1000)) : days.format(new Date(s * 1000)),
          ),
        splits: (u, _i, _low, _high) => ticksOf(x, u.bbox.width / devicePixelRatio),
      },
      {
        stroke: css("--bs-secondary-color"),
        grid: { stroke: css("--bs-border-color"), width: 1 },
        ticks: { show: false },
        font: "12px system-ui",
        size: 58,
        ...(chart.unit === "count" ? { incrs: WHOLE } : {}),
        values: (_u, ticks) => ticks.map(AXIS[chart.unit]),
      },
    ],
    series: [
      {},
      ...order.map((i) => {
        const colour = css(`--c${chart.lines[i].colour}`);
        return isBars
          ? {
              fill: colour,
              stroke: colour,
              width: 0,
              points: { show: false },
              paths: uPlot.paths.bars({ size: [0.72, 46], radius: 0.12 }),
            }
          : {
              stroke: colour,
              width: 2,
              points: { show: x.length < 40, size: 5, fill: colour },
              spanGaps: false,
            };
      }),
    ],
    hooks: {
      setCursor: [
        (u) => {
          const i = u.cursor.idx;
          if (i === null || i === undefined || u.cursor.left < 0) {
            tip.hidden = true;
            return;
          }
          const body = element("tbody");
          chart.lines.forEach((line) => {
            const dot = element("span", { class: `dot k${line.colour}` });
            body.append(
              element(
                "tr",
                {},
                element("td", {}, dot, line.name),
                element("td", { class: "text-end text-nowrap" }, FIGURES[chart.unit](line.values[i])),
              ),
            );
          });
          tip.replaceChildren(
            element("div", { class: "text-body-secondary mb-1" }, long.format(new Date(x[i] * 1000))),
            element("table", {}, body),
          );
          tip.hidden = false;
          const left = u.cursor.left + 70;
          tip.style.left = `${Math.max(0, left + tip.offsetWidth + 20 > box.clientWidth ? left - tip.offsetWidth - 40 : left + 12)}px`;
          tip.style.top = "12px";
        },
      ],
    },
  };
  const plot = new uPlot(options, data, box);
  box.append(tip);
  plot.over.style.cursor = "pointer";
  plot.over.addEventListener("click", () => {
    const i = plot.cursor.idx;
    if (i === null || i === undefined) return;
    const iso = (s) => new Date(s * 1000).toISOString().replace(".000", "");
    const query = new URLSearchParams({
      ...(chart.lines.length === 1 ? chart.lines[0].query : common(chart.lines)),
      since: iso(chart.x[i]),
      until: iso(chart.x[i + 1]),
    });
    location.href = `${chart.requests}?${query}`;
  });
  return plot;
}

function ticksOf(x, width) {
  const every = Math.max(1, Math.ceil((x.length * 72) / Math.max(width, 72)));
  return x.filter((_, i) => i % every === 0);
}

function common(lines) {
  const [first, ...rest] = lines.map((line) => Object.entries(line.query));
  return Object.fromEntries(
    first.filter(([name, value]) => rest.every((other) => other.some(([n, v]) => n === name && v === value))),
  );
}

export function drawAll(root = document) {
  for (const box of root.querySelectorAll("[data-chart]")) {
    const chart = JSON.parse(box.querySelector("script").textContent);
    let plot = draw(box, chart);
    const again = () => {
      plot.destroy();
      box.querySelector(".tip")?.remove();
      plot = draw(box, chart);
    };
    new ResizeObserver(() => {
      if (Math.abs(plot.width - box.clientWidth) > 2)
        plot.setSize({ width: box.clientWidth, height: plot.height });
    }).observe(box);
    document.documentElement.addEventListener("themechange", again);
  }
}

drawAll();
