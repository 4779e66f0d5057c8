// Charts: throughput and latency of the last five minutes, with uPlot. A new sample comes once a second; where there were none (another
// leader, nobody watching), the line breaks.
import uPlot from "./uPlot.esm.js";
import { byId, latency, rate, setText } from "./format.js";
import { color, onTheme } from "./theme.js";

const SHOWN_S_MIN = 60;
const SHOWN_S_MAX = 300;
const SAMPLES_MAX = 600;
const GAP_MS = 3_500;
const HEIGHT = 190;

const FIELDS = {
  throughput: ["readsPerSecond", "writesPerSecond"],
  latency: ["p50Ms", "p99Ms"],
};
const COLORS = { throughput: ["reads", "writes"], latency: ["p50", "p99"] };
const FORMATS = { throughput: rate, latency };

let samples = [];
const plots = new Map();

/** Samples from before: those that are not known yet are put in their place. */
export function showHistory(list) {
  const known = new Set(samples.map(({ at }) => at));
  samples = [...samples, ...list.filter(({ at }) => !known.has(at))].sort((a, b) => a.at - b.at).slice(-SAMPLES_MAX);
  draw();
}

export function showSample(sample) {
  if (samples.some(({ at }) => at === sample.at)) return;
  samples.push(sample);
  if (samples.length > SAMPLES_MAX) samples.shift();
  setText("now-reads", rate(sample.readsPerSecond));
  setText("now-writes", rate(sample.writesPerSecond));
  setText("now-p50", latency(sample.p50Ms));
  setText("now-p99", latency(sample.p99Ms));
  draw();
}

function draw() {
  for (const [name, plot] of plots) {
    plot.setData(dataOf(FIELDS[name]), false);
    const last = (samples.at(-1)?.at ?? Date.now()) / 1_000;
    const seconds = Math.min(SHOWN_S_MAX, Math.max(SHOWN_S_MIN, last - (samples[0]?.at ?? 0) / 1_000));
    plot.setScale("x", { min: last - seconds, max: last });
    label(name);
  }
}

function dataOf(fields) {
  const columns = [[], ...fields.map(() => [])];
  samples.forEach((sample, index) => {
    const before = samples[index - 1];
    if (before && sample.at - before.at > GAP_MS)
      push(
        columns,
        before.at + 1,
        fields.map(() => null),
      );
    push(
      columns,
      sample.at,
      fields.map((field) => sample[field]),
    );
  });
  return columns;
}

function push([times, ...values], at, row) {
  times.push(at / 1_000);
  row.forEach((value, index) => values[index].push(value));
}

function label(name) {
  const last = samples.at(-1);
  if (!last) return;
  const [first, second] = FIELDS[name].map((field) => FORMATS[name](last[field]));
  const text =
    name === "latency"
      ? `Latency now: p50 ${first}, p99 ${second}`
      : `Now ${first} reads and ${second} writes a second`;
  byId(name).setAttribute("aria-label", text);
}

function make(name) {
  const host = byId(name);
  plots.get(name)?.destroy();
  const axis = {
    stroke: color("muted"),
    grid: { stroke: color("grid"), width: 1 },
    ticks: { show: false },
    font: "11px system-ui, sans-serif",
  };
  const lines = COLORS[name].map((of) => ({
    stroke: color(of),
    width: 1.75,
    fill: name === "throughput" ? `${color(of)}22` : undefined,
    points: { show: false },
    spanGaps: false,
  }));
  const most = name === "throughput" ? 10 : 1;
  const plot = new uPlot(
    {
      width: Math.max(200, host.clientWidth),
      height: HEIGHT,
      legend: { show: false },
      cursor: { y: false, points: { size: 7 }, drag: { x: false, y: false } },
      scales: { x: { time: true }, y: { range: (_plot, _min, max) => [0, Math.max(most, (max ?? 0) * 1.15)] } },
      axes: [
        { ...axis, values: (_plot, times) => times.map(timeText), space: 90, size: 30 },
        {
          ...axis,
          size: 58,
          values: (_plot, values) => values.map((value) => (value === 0 ? "0" : FORMATS[name](value))),
        },
      ],
      series: [{}, ...lines],
    },
    dataOf(FIELDS[name]),
    host,
  );
  plots.set(name, plot);
}

function timeText(seconds) {
  return new Date(seconds * 1_000).toLocaleTimeString("en-GB", {
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  });
}

export function startCharts() {
  const all = Object.keys(FIELDS);
  for (const name of all) {
    make(name);
    new ResizeObserver(([entry]) => {
      const width = Math.floor(entry.contentRect.width);
      const plot = plots.get(name);
      if (width > 0 && plot.width !== width) plot.setSize({ width, height: HEIGHT });
    }).observe(byId(name));
  }
  onTheme(() => {
    for (const name of all) make(name);
    draw();
  });
}
