// The compact form of a batch line (shared/protocol/compact.ts) as fields rather than text: what the line that LineTexts makes of a message is
// parsed to. For the simulator, whose messages never are text.
import { compactForm } from "../../shared/protocol/compact.ts";
import type { BatchRequest, ReadOp, WriteOp } from "../../shared/protocol/node-messages.ts";

/** The message as it arrives. */
export function asSent(message: object): object {
  const { op, ops, ...rest } = message as BatchRequest;
  if (op !== "batch" || !Array.isArray(ops)) return message;
  const form = compactForm(ops, rest.epoch);
  if (form === undefined) return message;
  const fields =
    form === "reads"
      ? ops.flatMap((item) => readFields(item as ReadOp))
      : ops.flatMap((item) => writeFields(item as WriteOp));
  return { op, ...rest, [form]: fields };
}

function readFields({ slot, stamp, key, brief }: ReadOp): unknown[] {
  return [slot, ...stamp, key, brief === true ? 1 : 0];
}

function writeFields({ slot, stamp, version, key, value, operation }: WriteOp): unknown[] {
  return [slot, ...stamp, version[1], key, value, operation ?? ""];
}
