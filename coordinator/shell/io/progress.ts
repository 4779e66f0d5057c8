// Progress of a topology operation while it runs: a bar on a terminal, elsewhere a line now and then on standard error, so that
// a log of a script stays short and standard output keeps to the answers.
import cliProgress from "cli-progress";
import type { OperationStatus } from "../../../shared/protocol/client-messages.ts";
import { progressText } from "../operations.ts";

export interface Progress {
  update(status: OperationStatus): void;
  /** Takes the bar off the screen, for something else to be printed; the next update brings it back. */
  hide(): void;
}

/** Time between two lines where there is no terminal. */
const LINE_EVERY_MS = 3_000;
const BAR_CELLS = 16;

/** A bar that redraws itself. @param terminal Where it is drawn. */
export function progressBar(terminal: NodeJS.WritableStream): Progress {
  let bar: cliProgress.SingleBar | undefined;
  return {
    update: (status) => {
      const payload = { text: progressText(status) };
      if (status.slotsTotal === 0) return;
      if (bar === undefined) {
        bar = newBar(terminal);
        bar.start(status.slotsTotal, status.slotsMoved, payload);
      } else {
        bar.setTotal(status.slotsTotal);
        bar.update(status.slotsMoved, payload);
      }
    },
    hide: () => {
      bar?.stop();
      bar = undefined;
    },
  };
}

function newBar(stream: NodeJS.WritableStream): cliProgress.SingleBar {
  return new cliProgress.SingleBar({
    stream,
    format: "{bar} {percentage}% {text}",
    barsize: BAR_CELLS,
    barCompleteChar: "█",
    barIncompleteChar: "░",
    clearOnComplete: true, // the closing line says what moved
    linewrap: true, // cut to the width of the terminal, whose own wrapping is left as it is
    gracefulExit: false, // Ctrl-C is the shell's
    fps: 10,
  });
}

/** A line at most every few seconds. @param nowMs Monotonic clock, milliseconds. */
export function progressLines(write: (line: string) => void, nowMs: () => number): Progress {
  let lastMs = nowMs();
  return {
    update: (status) => {
      if (nowMs() - lastMs < LINE_EVERY_MS) return;
      lastMs = nowMs();
      write(`${status.command}: ${progressText(status)}`);
    },
    hide: () => undefined,
  };
}

/** Says nothing: the answer is wanted as one JSON document. */
export const NO_PROGRESS: Progress = { update: () => undefined, hide: () => undefined };
