// Colours by what they are for. Rendering takes a style as argument, so the same text is plain in a pipe, in tests and under
// NO_COLOR, and coloured on a terminal; the choice is made at the edge (io/shell.ts).

type Paint = (text: string) => string;

export interface Style {
  readonly bold: Paint;
  readonly dim: Paint;
  readonly red: Paint;
  readonly green: Paint;
  readonly yellow: Paint;
  readonly cyan: Paint;
}

const same: Paint = (text) => text;

/** No colour at all. */
export const PLAIN: Style = { bold: same, dim: same, red: same, green: same, yellow: same, cyan: same };
