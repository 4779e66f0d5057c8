// Goal: the placement that a state asks for, with members that are away or dead taken into account. A member that is away keeps its slots
// as long as they can do without it; a slot that cannot write any more, but whose members that are there may be sealed without it (M2),
// goes on with those alone. A member that stayed dead gives its slots to others, where others can take them; where none can, it keeps
// them and catches up when it returns. Draining members keep nothing.
import { isAbsent, type ClusterState } from "../../shared/cluster-state.ts";
import type { NodeId } from "../../shared/ids.ts";
import { majority, sealQuorum } from "../../shared/quorum.ts";
import { place } from "../ring/placement.ts";

/** Members of every slot, as they should be. */
export function goalOf(state: ClusterState): (readonly NodeId[])[] {
  const old = state.slots.map(({ members }) => members);
  const gone = new Set(state.members.filter(isAbsent).map(({ id }) => id));
  const members = state.members
    .filter((member) => member.state !== "draining" && member.state !== "replaced")
    .map(({ id, weight }) => ({ id, weight }));
  const placed: (readonly NodeId[])[] = place({ old, members, copies: state.rf, seed: state.seed });
  if (gone.size === 0) return placed;
  const replaced = new Set(state.members.filter((member) => member.state === "replaced").map(({ id }) => id));
  const leaving = new Set(state.members.filter((member) => member.state === "draining").map(({ id }) => id));
  return placed.map((list, slot) => withAbsent(old[slot] ?? [], list, { gone, replaced, leaving, copies: state.rf }));
}

function withAbsent(
  old: readonly NodeId[],
  placed: readonly NodeId[],
  {
    gone,
    replaced,
    leaving,
    copies,
  }: {
    readonly gone: ReadonlySet<NodeId>;
    readonly replaced: ReadonlySet<NodeId>;
    readonly leaving: ReadonlySet<NodeId>;
    readonly copies: number;
  },
): readonly NodeId[] {
  const missing = Math.max(0, Math.min(copies, old.length) - placed.length);
  const keeping = old.filter((id) => replaced.has(id)).slice(0, missing);
  const wanted = withoutNeedless([...placed, ...keeping], old, { gone, leaving });
  const list = wanted.length === old.length && wanted.every((id) => old.includes(id)) ? old : wanted;
  const there = list.filter((id) => !gone.has(id));
  if (there.length >= majority(list.length))
    return list.every((id) => !gone.has(id) || old.includes(id)) ? list : there;
  // Too few are there to write. Those that are go on alone, if the old members can be sealed without the others.
  const survivors = old.filter((id) => !gone.has(id)).length;
  if (there.length > 0 && survivors >= sealQuorum(old.length)) return there;
  // Who leaves cannot keep the slot: the others have to come back and take it.
  return list.length > 0 && old.some((id) => leaving.has(id)) ? list : old;
}

/** Where a slot has copies to spare, those that stay are on members that are there. */
function withoutNeedless(
  wanted: readonly NodeId[],
  old: readonly NodeId[],
  { gone, leaving }: { readonly gone: ReadonlySet<NodeId>; readonly leaving: ReadonlySet<NodeId> },
): readonly NodeId[] {
  if (old.length <= wanted.length) return wanted;
  const spare = old.filter((id) => !wanted.includes(id) && !gone.has(id) && !leaving.has(id));
  return wanted.map((id) => (gone.has(id) ? (spare.shift() ?? id) : id));
}
