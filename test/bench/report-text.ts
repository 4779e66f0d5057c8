// The report as people read it: a table on the terminal and a chart. Pure.
import type { Report, Row, StoreFigures } from "./figures.ts";
import { OURS } from "./figures.ts";

const BAR_HEIGHT = 14;
const ROW_GAP = 12;
const LABEL_WIDTH = 260;
const BAR_WIDTH_MAX = 460;
const FIGURE_WIDTH = 150;
const COLOURS: Readonly<Record<string, string>> = { holdfast: "#2563eb", redis: "#dc2626", etcd: "#059669" };

/** One line a workload and store; ours first, the peers with what ours is of theirs. */
export function tableOf(report: Report): string[] {
  const head = ["workload", "store", "ops/s", "×", "p50 ms", "p99 ms", "p99 ×", "CPU µs/op (by role)"];
  const lines = [head, ...report.rows.flatMap(linesOf)];
  const widths = head.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? "").length)));
  const text = lines.map((line) =>
    line
      .map((cell, column) => pad(cell, widths[column] ?? 0, column))
      .join("  ")
      .trimEnd(),
  );
  const singles = report.singles.map(
    ({ name, value, unit, note }) => `${name}: ${short(value)} ${unit}${note ? ` (${note})` : ""}`,
  );
  return [
    text[0] ?? "",
    "-".repeat(text[0]?.length ?? 0),
    ...text.slice(1),
    ...(singles.length > 0 ? ["", ...singles] : []),
  ];
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

function pad(cell: string, width: number, column: number): string {
  const isText = column < 2 || column === 7;
  return isText ? cell.padEnd(width) : cell.padStart(width);
}

function cpuText({ cpuMicros }: StoreFigures): string {
  return Object.entries(cpuMicros)
    .map(([role, micros]) => `${role} ${micros.toFixed(1)}`)
    .join(" · ");
}

function errorsText({ errors }: StoreFigures): string {
  const text = Object.entries(errors).map(([code, count]) => `${count} × ${code}`);
  return text.length === 0 ? "" : ` · errors: ${text.join(", ")}`;
}

/** Four digits at most, then thousands. */
export function short(value: number): string {
  if (value >= 10_000) return `${(value / 1_000).toFixed(1)} k`;
  return value >= 100 ? value.toFixed(0) : value.toFixed(2);
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
