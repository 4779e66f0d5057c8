// `runtime recover --unsafe`: for a cluster that lost the majority of its voters for good. Asks everybody whom the cluster file and the
// states found name, says what is missing and what that may cost, has the operator confirm it twice, and makes those that are left all the
// voters there are (election/recovery.ts). It does not lead: the next coordinator that looks is elected by them. Refused while a leader
// lives, or a majority answers. For scripts, `--yes` twice stands for the two answers.
import { randomUUID } from "node:crypto";
import { createInterface } from "node:readline";
import { decodeState, encodeState, type VoterSeat } from "../../shared/cluster-state.ts";
import { openSession } from "../../shared/client/session.ts";
import { KvError } from "../../shared/errors.ts";
import type { OwnerId } from "../../shared/ids.ts";
import { isSamePlan, planRecovery, recoveredState, type Recovery, type Witness } from "../election/recovery.ts";
import { readClusterFile } from "../files.ts";
import type { Flags } from "../flags.ts";
import { countOf } from "../shell/text.ts";

const ANSWER_TIMEOUT_MS = 2_000;
const USAGE = `usage: ./runtime recover --unsafe [--yes --yes] [--cluster-file <file>] [--join <host:port>]
For a cluster that has lost the majority of its voters for good. Start all that can still be started first.
`;

/** @param words Behind the command. @returns the exit status: 0 done, 1 nothing to recover or not confirmed, 2 usage, 3 not possible */
export async function recover(flags: Flags, words: readonly string[]): Promise<number> {
  const yes = words.filter((word) => word === "--yes").length;
  if (!words.includes("--unsafe") || words.some((word) => word !== "--unsafe" && word !== "--yes")) {
    process.stderr.write(USAGE);
    return 2;
  }
  if (flags.etcd !== undefined) throw new KvError("BAD_REQUEST", "an etcd keeps this cluster's state: recover that");
  const search = searchOf(flags);
  const plan = planRecovery(search.cluster, await everybody(flags, search.addresses));
  const refusal = plan === undefined ? nobodyKnows(search.addresses) : await whyNot(flags, plan);
  if (refusal !== undefined || plan === undefined) {
    process.stderr.write(`runtime: ${refusal?.text ?? ""}\n`);
    return refusal?.status ?? 3;
  }
  if (!flags.json) say(costs(plan));
  if (!(await confirmed(plan, yes))) {
    say(["Nothing was changed."]);
    return 1;
  }
  const again = planRecovery(search.cluster, await everybody(flags, search.addresses));
  if (again === undefined || !isSamePlan(plan, again)) {
    process.stderr.write("runtime: others answer now than before: nothing was changed, look again\n");
    return 3;
  }
  await rewrite(flags, again);
  say(flags.json ? [JSON.stringify(resultOf(again))] : nextSteps(again));
  return 0;
}

interface Refused {
  readonly text: string;
  readonly status: 1 | 3;
}

function searchOf({ clusterFile, join, connect = [] }: Flags): { cluster: string; addresses: readonly string[] } {
  const file = readClusterFile(clusterFile);
  if (!file)
    throw new KvError(
      "BAD_REQUEST",
      `${clusterFile} does not exist: name the one of a coordinator with --cluster-file`,
    );
  return { cluster: file.cluster, addresses: [...new Set([...file.addresses, ...join, ...connect])] };
}

function nobodyKnows(addresses: readonly string[]): Refused {
  return {
    text: `nobody at ${addresses.join(", ")} knows a state of this cluster; start the nodes that are left`,
    status: 3,
  };
}

async function whyNot(flags: Flags, plan: Recovery): Promise<Refused | undefined> {
  if (plan.state.voters.length === 0)
    return { text: "an etcd keeps the state of this cluster, no node votes: recover that", status: 1 };
  if (plan.electable)
    return { text: "a majority of the voters answers: nothing is to be recovered, ./runtime leads", status: 1 };
  if (plan.voters.length === 0)
    return { text: "nobody who answers could vote: start the nodes that are left", status: 3 };
  for (const { id, address } of plan.voters) {
    const question = { op: "prevote", cluster: plan.state.cluster, voter: id, epoch: plan.epoch };
    const alive = await ask(flags, address, question).then(() => undefined, leaderAlive);
    if (alive !== undefined) return { text: `${alive}: nothing is to be recovered`, status: 1 };
  }
  return undefined;
}

/** The voter's word that a leader lives; what else it answers is no reason against it. */
function leaderAlive(error: unknown): string | undefined {
  return error instanceof KvError && error.code === "LEADER_ALIVE" ? error.message : undefined;
}

// Asking.

/** Everybody who answers, at these addresses and at those that the states found name. */
async function everybody(flags: Flags, addresses: readonly string[]): Promise<readonly Witness[]> {
  const asked = new Set<string>();
  const found: Witness[] = [];
  let open = addresses;
  while (open.length > 0) {
    for (const address of open) asked.add(address);
    const answers = await Promise.all(open.map((address) => witnessAt(flags, address)));
    found.push(...answers.filter((answer) => answer !== undefined));
    const named = answers.flatMap((answer) => (answer === undefined ? [] : placesIn(answer.state)));
    open = [...new Set(named)].filter((address) => !asked.has(address));
  }
  return found;
}

function placesIn(text: string): string[] {
  if (text === "") return [];
  const state = decodeState(text);
  return [...state.voters, ...state.members].map(({ address }) => address);
}

async function witnessAt(flags: Flags, address: string): Promise<Witness | undefined> {
  const answer = await ask(flags, address, { op: "inspect" }).catch(() => undefined); // who does not answer is missing
  return answer && ({ ...answer, address } as unknown as Witness);
}

/** Asks a voter, on a connection of its own. @throws KvError */
async function ask(
  { security }: Flags,
  address: string,
  message: Readonly<Record<string, unknown>> & { readonly op: string },
): Promise<Readonly<Record<string, unknown>>> {
  const session = await openSession(address, { timeoutMs: ANSWER_TIMEOUT_MS, credentials: security.credentials });
  try {
    // Sessions are typed for clients; what voters are asked is in the wire reference of the node port.
    return await session.call(message as unknown as { readonly op: "ping" });
  } finally {
    await session.close();
  }
}

// Doing.

/** Promises first, so that no rival of them is half-way; then the new state, at every one of them. @throws KvError where one refuses */
async function rewrite(flags: Flags, plan: Recovery): Promise<void> {
  const owner = randomUUID() as OwnerId;
  const { epoch, voters, state } = plan;
  const { cluster } = state;
  for (const seat of voters) {
    const prepare = { op: "prepare", cluster, voter: seat.id, epoch, owner };
    await ask(flags, seat.address, prepare).catch((error: unknown) => {
      if (!(error instanceof KvError) || error.code !== "NO_VOTER") throw halfWay(seat, error); // becomes one below
    });
  }
  const text = encodeState(recoveredState(plan, owner));
  for (const seat of voters) {
    const accept = { op: "accept", cluster, voter: seat.id, ballot: [epoch, 1], owner, state: text, seat: true };
    await ask(flags, seat.address, accept).catch((error: unknown) => {
      throw halfWay(seat, error);
    });
  }
}

function halfWay({ id, address }: VoterSeat, error: unknown): KvError {
  const why = error instanceof Error ? error.message : String(error);
  return new KvError("NO_QUORUM", `${id} (${address}) did not take part: ${why}; run the same command again`);
}

// Saying.

function say(lines: readonly string[]): void {
  process.stdout.write(`${lines.join("\n")}\n`);
}

const seatText = ({ id, address }: { readonly id: string; readonly address: string }): string => `  ${id} (${address})`;

function costs({ state, ballot, missing, missingMembers, slots, voters }: Recovery): string[] {
  const sure = slots.gone + slots.doubtful + slots.thin === 0;
  return [
    `Cluster ${state.cluster}, newest state found: ${ballot.join(".")}.`,
    `Voters that do not answer, ${missing.length} of ${state.voters.length}:`,
    ...missing.map(seatText),
    "Voters from now on:",
    ...voters.map(seatText),
    "What this may lose:",
    "  changes of the topology that only the missing voters had accepted;",
    ...(slots.gone > 0 ? [`  everything in ${countOf(slots.gone, "slot")} of which no replica answers;`] : []),
    ...(slots.doubtful > 0
      ? [`  acknowledged writes in ${countOf(slots.doubtful, "slot")} of which a quorum of replicas does not answer;`]
      : []),
    ...(slots.thin > 0
      ? [`  writes at level one in ${countOf(slots.thin, "slot")} of which a replica does not answer;`]
      : []),
    ...(sure ? ["  no data: every replica of every slot answers;"] : []),
    ...(missingMembers.length > 0
      ? [
          `  (storage nodes that do not answer: ${missingMembers.map(({ id }) => id).join(", ")}; their data counts again if they return)`,
        ]
      : []),
    "If the missing voters live on somewhere, beyond a broken network, two clusters come of one: both would accept writes,",
    "and those of one side are lost when they meet. Go on only if they are gone for good.",
  ];
}

/** @param yes How many of the two questions are answered beforehand. */
async function confirmed({ state }: Recovery, yes: number): Promise<boolean> {
  const questions = [
    { text: 'Are the missing voters gone for good? Type "gone": ', answer: "gone" },
    { text: `To make the change, type the id of the cluster (${state.cluster}): `, answer: state.cluster as string },
  ].slice(yes);
  if (questions.length === 0) return true;
  const input = createInterface({ input: process.stdin });
  const lines = input[Symbol.asyncIterator]();
  try {
    for (const { text, answer } of questions) {
      process.stdout.write(text);
      const line = await lines.next();
      if (process.stdin.isTTY !== true) process.stdout.write("\n");
      if (line.done === true || line.value.trim() !== answer) return false;
    }
    return true;
  } finally {
    input.close();
  }
}

function nextSteps({ epoch, voters, missingMembers, slots }: Recovery): string[] {
  const dead = missingMembers.map(({ id }) => id);
  return [
    `Done: ${countOf(voters.length, "voter")}, epoch ${epoch}. What to do next:`,
    "  1. ./runtime, or ./runtime serve, where none runs: it is elected by them",
    "  2. ./runtime status: who leads, who answers",
    ...(dead.length > 0
      ? [
          `  3. nodes that come back: start them; those that never will: ${dead.map((id) => `removenode ${id}`).join(", ")}`,
        ]
      : []),
    ...(slots.gone > 0 ? ["     (with --force where the last copy of a slot was there: that data is lost then)"] : []),
    `  ${dead.length > 0 ? 4 : 3}. ./runtime repair: compares what is left`,
  ];
}

function resultOf({ epoch, state, voters, missing, missingMembers, slots }: Recovery): object {
  const ids = (seats: readonly { readonly id: string }[]): string[] => seats.map(({ id }) => id);
  const lost = { missingVoters: ids(missing), missingNodes: ids(missingMembers), slots };
  return { status: "ok", cluster: state.cluster, epoch, voters: ids(voters), ...lost };
}
