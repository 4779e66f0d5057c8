// The ring, unrolled: slots 0 to 4095 from left to right, a row for each node, the height of a cell telling how many of the
// cell's slots the node holds. Heights are relative to the fullest cell, so that twenty nodes with a small share each are as
// readable as three. Where every node holds every slot, the rows show which slots each is the preferred replica of.
import type { RingAnswer } from "../../shared/protocol/client-messages.ts";
import type { Style } from "./style.ts";
import { shareText } from "./text.ts";

const HEIGHTS = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"] as const;
const STRIP_CELLS_MIN = 16;
const STRIP_CELLS_MAX = 128;
/** Columns that shares and gaps take beside id and strip. */
const FIGURES_COLUMNS = 27;

interface Row {
  readonly id: string;
  readonly slots: number;
  readonly first: number;
  /** Slots of the row in each cell. */
  readonly cells: readonly number[];
}

/** Lines that draw the ring in `columns` columns (or as few as id and figures allow). */
export function ringLines(
  ring: Pick<RingAnswer, "rf" | "members" | "slots">,
  options: { readonly columns: number; readonly style: Style },
): readonly string[] {
  if (ring.members.length === 0)
    return ["The ring is empty. Start a node with ./node_server 5001, then: addnode A 5001"];
  const { style } = options;
  const idWidth = Math.max(4, ...ring.members.map((member) => member.id.length));
  const room = options.columns - idWidth - FIGURES_COLUMNS;
  const cells = Math.max(STRIP_CELLS_MIN, Math.min(STRIP_CELLS_MAX, room));
  const preferredOnly = ring.slots.every((members) => members.length === ring.members.length);
  const rows = ringRows(ring, cells, preferredOnly);
  const fullest = Math.max(1, ...rows.flatMap((row) => row.cells));
  const placements = rows.reduce((sum, row) => sum + row.slots, 0);
  return [
    titleLine(ring, idWidth, cells, style),
    ...rows.map((row) => {
      const strip = row.cells.map((count) => HEIGHTS[Math.ceil((count * 8) / fullest)]).join("");
      const share = shareText(placements === 0 ? 0 : row.slots / placements);
      const figures = `${String(row.slots).padStart(5)}  ${share.padStart(7)}  ${String(row.first).padStart(5)}`;
      return `${row.id.padEnd(idWidth)}  |${style.cyan(strip)}|  ${figures}`;
    }),
    style.dim(legend({ fullest, slotsPerCell: ring.slots.length / cells, preferredOnly })),
  ];
}

function titleLine(ring: Pick<RingAnswer, "rf" | "slots">, idWidth: number, cells: number, style: Style): string {
  const last = String(ring.slots.length - 1);
  const strip = ` 0${" ".repeat(Math.max(1, cells - 1 - last.length))}${last} `;
  return style.dim(`${"node".padEnd(idWidth)}  ${strip}  slots    share  first`);
}

function ringRows(ring: Pick<RingAnswer, "members" | "slots">, cells: number, preferredOnly: boolean): readonly Row[] {
  const rows = ring.members.map((member) => ({
    id: member.id as string,
    slots: 0,
    first: 0,
    cells: Array.from({ length: cells }, () => 0),
  }));
  ring.slots.forEach((members, slot) => {
    const cell = Math.floor((slot * cells) / ring.slots.length);
    members.forEach((member, place) => {
      const row = rows[member];
      if (row === undefined) return;
      row.slots++;
      if (place === 0) row.first++;
      if (place === 0 || !preferredOnly) row.cells[cell] = (row.cells[cell] as number) + 1;
    });
  });
  return rows;
}

function legend(facts: {
  readonly fullest: number;
  readonly slotsPerCell: number;
  readonly preferredOnly: boolean;
}): string {
  const cell = `█: ${facts.fullest} of ${Math.round(facts.slotsPerCell)} slots`;
  if (facts.preferredOnly) return `Every node holds every slot; drawn is where it is first. ${cell}`;
  return `slots: copies held; first: asked first. ${cell}`;
}
