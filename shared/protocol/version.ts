// Protocol version, negotiated by `hello`: each side says from–to, the highest common one is spoken.
// History: 1 — first release.
import { KvError } from "../errors.ts";

export const PROTOCOL_VERSIONS = [1, 1] as const;

/**
 * Highest version that both sides speak.
 * @throws KvError UNSUPPORTED_PROTOCOL naming the side to upgrade
 */
export function negotiate(peer: readonly [from: number, to: number]): number {
  const common = Math.min(peer[1], PROTOCOL_VERSIONS[1]);
  if (common >= peer[0] && common >= PROTOCOL_VERSIONS[0]) return common;
  const older = peer[1] < PROTOCOL_VERSIONS[0] ? "the caller" : "this process";
  throw new KvError(
    "UNSUPPORTED_PROTOCOL",
    `caller speaks protocol ${peer[0]}–${peer[1]}, this process ${PROTOCOL_VERSIONS[0]}–${PROTOCOL_VERSIONS[1]}: upgrade ${older}`,
  );
}
