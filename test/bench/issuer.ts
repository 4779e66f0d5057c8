// What a workload asks of its callers, operation after operation: seeded, so that every system of a round is asked the same.
import { seededRandom } from "../support/random.ts";
import type { Caller } from "./caller.ts";
import { keyChooser, valueOf, type Workload } from "./workload.ts";

/** Issues the next operation, or as many as belong together. */
export type Issuer = (caller: Caller) => Promise<unknown>;

const MIXED_95_PUTS = 20;
const MIXED_50_PUTS = 2;
const ONE_DELETE_IN = 5;

export function issuerOf(asked: Workload, seed: number): Issuer {
  const { work, together } = asked;
  const choose = keyChooser(asked, seed);
  const value = valueChooser(asked, seed);
  const keys = (): string[] => (together === 1 ? [choose()] : Array.from({ length: together }, choose));
  const putOneIn = (puts: number): Issuer => {
    let turn = 0;
    return (caller) => (turn++ % puts === 0 ? caller.put(keys(), value()) : caller.get(keys()));
  };
  switch (work) {
    case "put":
      return (caller) => caller.put(keys(), value());
    case "get":
      return (caller) => caller.get(keys());
    case "mixed-95":
      return putOneIn(MIXED_95_PUTS);
    case "mixed-50":
      return putOneIn(MIXED_50_PUTS);
    case "replace":
      return (caller) => caller.replace(keys()[0] as string, value());
    case "churn": {
      let turn = 0;
      return (caller) =>
        turn++ % ONE_DELETE_IN === 0 ? caller.remove(keys()[0] as string) : caller.put(keys(), value());
    }
  }
}

/** One value for all, or one of any size between the least and the most. */
function valueChooser({ valueBytes, valueBytesMin }: Workload, seed: number): () => string {
  const largest = valueOf(valueBytes);
  if (valueBytesMin === undefined) return () => largest;
  const random = seededRandom(seed);
  return () => largest.slice(0, valueBytesMin + Math.floor(random() * (valueBytes - valueBytesMin + 1)));
}
