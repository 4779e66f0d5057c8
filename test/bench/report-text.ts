// The report as people read it: a table on the terminal and a chart. Pure.
import { cpuText, errorsText, inColumns, short } from "./figure-text.ts";
import type { Report, Row } from "./figures.ts";
import { OURS } from "./figures.ts";
import { growthTableOf } from "./growth-text.ts";
import { trendTableOf } from "./soak-text.ts";
import { trendsOf } from "./soak-trend.ts";

const BAR_HEIGHT = 14;
const ROW_GAP = 12;
const LABEL_WIDTH = 260;
const BAR_WIDTH_MAX = 460;
const FIGURE_WIDTH = 150;
const COLOURS: Readonly<Record<string, string>> = { holdfast: "#2563eb", redis: "#dc2626", etcd: "#059669" };

/** One line a workload and store; ours first, the peers with what ours is of theirs. */
export function tableOf(report: Report): string[] {
  const head = ["workload", "store", "ops/s", "×", "p50 ms", "p99 ms", "p99 ×", "CPU µs/op (by role)"];
  const rows = inColumns([head, ...report.rows.flatMap(linesOf)], (column) => column < 2 || column === 7);
  const singles = report.singles.map(
    ({ name, value, unit, note }) => `${name}: ${short(value)} ${unit}${note ? ` (${note})` : ""}`,
  );
  const blocks = [
    report.rows.length > 0 ? rows : [],
    growthTableOf(report.growth ?? []),
    trendTableOf(trendsOf(report.soak ?? [])),
    singles,
  ];
  return blocks.filter((block) => block.length > 0).flatMap((block, index) => (index === 0 ? block : ["", ...block]));
}

function linesOf(row: Row): string[][] {
  return Object.entries(row.stores).map(([name, figures], index) => {
    const ratio = row.ratios[name];
    return [
      index === 0 ? row.workload : "",
      name,
      short(figures.opsPerSecond),
      ratio ? ratio.throughput.toFixed(2) : "",
      figures.p50Ms.toFixed(2),
      figures.p99Ms.toFixed(2),
      ratio ? ratio.p99.toFixed(2) : "",
      cpuText(figures) + errorsText(figures),
    ];
  });
}

/** Bars of operations a second, every workload on a scale of its own. */
export function chartOf(report: Report): string {
  let y = 40;
  const body = report.rows.flatMap((row) => {
    const bars = barsOf(row, y);
    y += Object.keys(row.stores).length * BAR_HEIGHT + ROW_GAP;
    return bars;
  });
  const width = LABEL_WIDTH + BAR_WIDTH_MAX + FIGURE_WIDTH;
  const title = "Operations a second; all processes and the load on the same cores. Each workload has its own scale.";
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${y}" font-family="sans-serif" font-size="11">`,
    `<rect width="100%" height="100%" fill="#ffffff"/>`,
    `<text x="10" y="22" font-size="13">${title}</text>`,
    ...body,
    "</svg>",
    "",
  ].join("\n");
}

function barsOf({ workload, stores }: Row, top: number): string[] {
  const most = Math.max(...Object.values(stores).map(({ opsPerSecond }) => opsPerSecond), 1);
  const label = `<text x="${LABEL_WIDTH - 8}" y="${top + 11}" text-anchor="end">${escape(workload)}</text>`;
  const bars = Object.entries(stores).map(([name, { opsPerSecond }], index) => {
    const y = top + index * BAR_HEIGHT;
    const width = Math.max(1, (opsPerSecond / most) * BAR_WIDTH_MAX);
    const colour = COLOURS[name] ?? "#6b7280";
    const weight = name === OURS ? ` font-weight="bold"` : "";
    const figure = `<text x="${LABEL_WIDTH + width + 6}" y="${y + 10}"${weight}>${name} ${short(opsPerSecond)}</text>`;
    return `<rect x="${LABEL_WIDTH}" y="${y}" width="${width.toFixed(1)}" height="${BAR_HEIGHT - 3}" fill="${colour}"/>${figure}`;
  });
  return [label, ...bars];
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
