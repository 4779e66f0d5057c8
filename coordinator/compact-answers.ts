// Compact answers (shared/protocol/compact.ts): gathers what the plain puts, deletes and gets of a turn are answered, to go to each client in
// one line. Only clients that said that they know such lines get them.
import type { WireValue } from "../shared/record.ts";
import { valueWeight } from "../shared/record.ts";
import type { Version } from "../shared/version.ts";
import type { ClientNumber } from "./sequencer/operation.ts";

/** Longer values are answered by themselves: nobody's small ones wait for them. */
const VALUE_WEIGHT_MAX = 16 * 1024;
/** A line that holds this much is full; so it stays far below the longest line that clients take. */
const LINE_WEIGHT_MAX = 64 * 1024;

interface Line {
  readonly written: number[];
  readonly values: (number | WireValue)[];
  weight: number;
}

export class CompactAnswers {
  readonly #send: (client: ClientNumber, message: object) => void;
  readonly #clients = new Set<ClientNumber>();
  readonly #lines = new Map<ClientNumber, Line>();

  constructor(send: (client: ClientNumber, message: object) => void) {
    this.#send = send;
  }

  /** A client said that it knows them. */
  known(client: ClientNumber): void {
    this.#clients.add(client);
  }

  gone(client: ClientNumber): void {
    this.#clients.delete(client);
    this.#lines.delete(client);
  }

  /** @returns whether it will be told so; otherwise it is to be told as others are */
  written(client: ClientNumber, id: number, [epoch, number]: Version): boolean {
    if (!this.#clients.has(client)) return false;
    this.#lineOf(client).written.push(id, epoch, number);
    return true;
  }

  /** As `written`, for what a get found. */
  found(client: ClientNumber, id: number, [epoch, number]: Version, value: WireValue): boolean {
    if (!this.#clients.has(client)) return false;
    const weight = valueWeight(value);
    if (weight > VALUE_WEIGHT_MAX) return false;
    const line = this.#lineOf(client);
    line.values.push(id, epoch, number, value);
    line.weight += weight;
    if (line.weight >= LINE_WEIGHT_MAX) this.#end(client, line);
    return true;
  }

  /** End of turn: what was gathered is sent. */
  flush(): void {
    for (const [client, line] of this.#lines) this.#end(client, line);
  }

  #lineOf(client: ClientNumber): Line {
    const known = this.#lines.get(client);
    if (known) return known;
    const line: Line = { written: [], values: [], weight: 0 };
    this.#lines.set(client, line);
    return line;
  }

  #end(client: ClientNumber, { written, values }: Line): void {
    this.#lines.delete(client);
    this.#send(client, {
      status: "ok",
      ...(written.length > 0 && { written }),
      ...(values.length > 0 && { values }),
    });
  }
}
