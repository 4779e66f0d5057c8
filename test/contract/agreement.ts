// The contract of a place where epoch and state are agreed (coordinator/election/agreement.ts), as tests that every such place passes: voters
// among the storage nodes, an etcd in the simulator, with and without lost answers, and a real one. A harness gives a place that keeps the
// first state of a cluster already, and coordinators that reach it; time is its own, virtual or not.
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Agreement, CampaignResult, CampaignTerms, Won } from "../../coordinator/election/agreement.ts";
import { StateLog } from "../../coordinator/election/state-log.ts";
import type { ClusterState } from "../../shared/cluster-state.ts";
import type { ClusterId, OwnerId } from "../../shared/ids.ts";
import { all, type Future, run, type Script, sleep } from "../../shared/script.ts";
import type { Timers } from "../../shared/timers.ts";

export interface AgreementHarness {
  readonly timers: Timers;
  readonly cluster: ClusterId;
  /** A coordinator that has just been started. */
  join(name: string): Participant;
  /** Lets time pass until it is there. */
  until<T>(future: Future<T>): Promise<T>;
  /** Nobody reaches the place, until it is back. */
  gone(gone: boolean): Promise<void>;
  dispose(): Promise<void>;
}

export interface Participant {
  readonly owner: OwnerId;
  readonly address: string;
  readonly agreement: Agreement;
  /** What a leader does beside, to be taken for alive. */
  lives(won: Won, log: StateLog, active: () => boolean): void;
}

/** A leader, until it ends. */
interface Term {
  readonly log: StateLog;
  active: boolean;
  /** The epoch that it was told to give up for. */
  lostTo: number | undefined;
}

const TRIES_MAX = 60;
/** While nothing can be agreed. */
const A_WHILE_MS = 3_000;

/**
 * Declares the tests of a place. `open` gives a new one for each.
 * @param options.reliable Calls and answers arrive; otherwise a leader's signs of life are lost, too, and it may be disturbed.
 */
export function agreementContract(
  name: string,
  open: () => Promise<AgreementHarness>,
  { reliable }: { readonly reliable: boolean } = { reliable: true },
): void {
  describe(`agreement contract: ${name}`, () => {
    let harness: AgreementHarness;

    beforeEach(async () => {
      harness = await open();
    });

    afterEach(async () => {
      await harness.dispose();
    });

    const script = async <T>(steps: Script<T>): Promise<T> => await harness.until(run(steps));
    const pass = async (delayMs: number): Promise<void> => await harness.until(sleep(harness.timers, delayMs));

    function stand(participant: Participant, terms: Partial<CampaignTerms> = {}): Script<CampaignResult> {
      const { owner, address, agreement } = participant;
      const candidate = { owner, address, cluster: harness.cluster, hints: [] };
      return agreement.campaign(candidate, { minEpoch: 0, newest: undefined, prevote: true, ...terms });
    }

    /** Stands again and again, as a coordinator does, until it has won. */
    async function win(participant: Participant, terms: Partial<CampaignTerms> = {}): Promise<Won> {
      let minEpoch = terms.minEpoch ?? 0;
      for (let tries = 0; tries < TRIES_MAX; tries++) {
        const found = await script(stand(participant, { ...terms, minEpoch }));
        if (found.type === "won") return found;
        if (found.type === "outPromised") minEpoch = Math.max(minEpoch, found.epoch);
        await pass(100);
      }
      throw new Error(`${participant.address} did not win`);
    }

    function lead(participant: Participant, won: Won): Term {
      const { owner, address, agreement } = participant;
      const active = (): boolean => term.active;
      const outPromised = (epoch: number): void => {
        term.active = false;
        term.lostTo = epoch;
      };
      const proposing = { active, outPromised, renew: () => (term.active = false), accepted: () => undefined };
      const term: Term = {
        log: new StateLog({ agreement, owner, ...proposing }, won),
        active: true,
        lostTo: undefined,
      };
      run(agreement.lead({ owner, address, epoch: won.epoch, active, outPromised, confirmed: () => undefined }));
      participant.lives(won, term.log, active);
      return term;
    }

    const change =
      (rf: number) =>
      (state: ClusterState): ClusterState => ({ ...state, rf });

    test("C1: of candidates that stand at once one wins an epoch; epochs only grow", async () => {
      const participants = ["a", "b", "c"].map((one) => harness.join(one));
      const epochs: number[] = [];
      let minEpoch = 0;
      for (let round = 0; round < TRIES_MAX && epochs.length < 4; round++) {
        const standing = participants.map((participant) => run(stand(participant, { prevote: false, minEpoch })));
        const found = await harness.until(all(standing));
        const won = found.flatMap((result) => (result.type === "won" ? [result.epoch] : []));
        epochs.push(...won.sort((a, b) => a - b));
        for (const result of found) if ("epoch" in result) minEpoch = Math.max(minEpoch, result.epoch);
      }
      expect(epochs.length).toBeGreaterThanOrEqual(4);
      expect(epochs).toEqual([...new Set(epochs)].sort((a, b) => a - b));
    });

    test("C1: whoever wins has the newest accepted state, and is named in it as the leader", async () => {
      const [first, second] = [harness.join("a"), harness.join("b")];
      const term = lead(first, await win(first));
      for (const rf of [1, 2, 4]) expect(await script(term.log.propose(change(rf)))).toBe(true);
      expect(term.log.ballot[1]).toBe(4);
      term.active = false;
      const won = await win(second, { prevote: false });
      expect(won).toMatchObject({ ballot: [won.epoch, 1], state: { rf: 4, leader: { owner: second.owner } } });
    });

    test("C1: no change of an earlier epoch is accepted after another one was won; its leader is told", async () => {
      const [first, second] = [harness.join("a"), harness.join("b")];
      const old = lead(first, await win(first));
      const won = await win(second, { prevote: false });
      const current = lead(second, won);
      expect(await script(old.log.propose(change(5)))).toBe(false);
      expect(old.lostTo).toBeGreaterThan(old.log.ballot[0]);
      expect(await script(current.log.propose(change(2)))).toBe(true);
      current.active = false;
      expect((await win(first, { prevote: false })).state.rf).toBe(2);
    });

    test("C1: an epoch that was seen anywhere is spent", async () => {
      const only = harness.join("a");
      expect((await win(only, { minEpoch: 40 })).epoch).toBeGreaterThan(40);
      expect((await win(only)).epoch).toBeGreaterThan(41);
    });

    test.runIf(reliable)(
      "V4: a leader that lives is left alone, and named; one that hands over is succeeded at once",
      async () => {
        const [first, second] = [harness.join("a"), harness.join("b")];
        const term = lead(first, await win(first));
        await pass(300);
        for (let tries = 0; tries < 10; tries++) {
          const found = await script(stand(second));
          if (found.type !== "waiting") expect(found).toMatchObject({ type: "leaderAlive", address: first.address });
          await pass(300);
        }
        expect(term).toMatchObject({ active: true, lostTo: undefined });
        expect((await win(second, { prevote: false })).epoch).toBeGreaterThan(term.log.ballot[0]);
        term.active = false;
      },
    );

    test("V4: a leader that falls silent is succeeded", async () => {
      const [first, second] = [harness.join("a"), harness.join("b")];
      const term = lead(first, await win(first));
      await pass(300);
      term.active = false;
      expect((await win(second)).epoch).toBeGreaterThan(term.log.ballot[0]);
    });

    test("C1: while the place is gone nobody wins and a change waits; then it is accepted, under the ballot that it had", async () => {
      const [first, second] = [harness.join("a"), harness.join("b")];
      const term = lead(first, await win(first));
      await harness.gone(true);
      const proposed = run(term.log.propose(change(5)));
      expect(await script(stand(second, { prevote: false }))).toMatchObject({ type: "waiting" });
      await pass(A_WHILE_MS);
      expect(proposed.done).toBe(false);
      await harness.gone(false);
      expect(await harness.until(proposed)).toBe(true);
      expect(term.log).toMatchObject({ ballot: [term.log.ballot[0], 2], state: { rf: 5 } });
      term.active = false;
    });
  });
}
