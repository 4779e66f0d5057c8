// Reading parsed arguments: what the parser has made sure of is asserted, what only the command can judge is refused.
import { assert } from "../../shared/assert.ts";
import type { Arguments } from "./command.ts";
import { UsageError } from "./failure.ts";
import { cut, safeText } from "./text.ts";

/** A required argument: the parser saw to it that it is there. */
export function required(args: Arguments, name: string): string {
  const word = args.words[name];
  assert(word !== undefined, `argument ${name} was parsed`);
  return word;
}

/** An option that is a whole number; undefined where it was not given. Throws UsageError outside the range. */
export function numberOption(
  args: Arguments,
  name: string,
  range: { readonly min: number; readonly max: number },
): number | undefined {
  const word = args.options[name];
  if (word === undefined) return undefined;
  const number = Number(word);
  if (/^\d+$/.test(word) && number >= range.min && number <= range.max) return number;
  const shown = safeText(cut(word, 40));
  throw new UsageError(`--${name} is a whole number from ${range.min} to ${range.max}, not ${shown}`);
}

/** An answer as `--json` prints it: without the number of the request. */
export function withoutId(answer: object): object {
  return Object.fromEntries(Object.entries(answer).filter(([field]) => field !== "id"));
}
