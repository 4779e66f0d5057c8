// Aligned columns without borders. cli-table3 does the measuring, since it knows wide characters and colours.
import CliTable from "cli-table3";
import type { Style } from "./style.ts";

export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
}

const NO_BORDERS = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: "  ",
};

/** Lines of a table: dim titles, then the rows, two blanks between columns. */
export function tableLines(columns: readonly Column[], rows: readonly (readonly string[])[], style: Style): string[] {
  const table = new CliTable({
    chars: NO_BORDERS,
    style: { "padding-left": 0, "padding-right": 0, head: [], border: [] },
    colAligns: columns.map((column) => column.align ?? "left"),
    head: columns.map((column) => style.dim(column.title)),
  });
  for (const row of rows) table.push([...row]);
  return table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd());
}
