// The order of test files within what vitest.config.ts lets run side by side. There, some compute and keep a core busy, others start real
// processes and mostly wait. So both kinds are begun at once and last equally long, the longest files of each first: as long as anything is
// left there is something to compute while others wait, and no long file begins when the rest is done.
import path from "node:path";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Seconds on two cores, where it is more than a few: known beforehand, since a fresh clone has no times of earlier runs. */
const SECONDS: Readonly<Record<string, number>> = {
  "test/cluster/standby.test.ts": 40,
  "test/console/console.test.ts": 30,
  "test/cluster/etcd.test.ts": 28,
  "test/cluster/topology.test.ts": 25,
  "test/cluster/kill.test.ts": 25,
  "test/cluster/demo.test.ts": 24,
  "test/cluster/up.test.ts": 22,
  "test/cluster/waiting.test.ts": 20,
  "test/cluster/etcd-agreement.test.ts": 20,
  "test/cluster/recover.test.ts": 19,
  "test/cluster/chaos.test.ts": 17,
  "test/cluster/repair.test.ts": 12,
  "test/cluster/rest.test.ts": 10,
  "test/cluster/security.test.ts": 8,
  "test/cluster/bootstrap.test.ts": 8,
  "test/cluster/client.test.ts": 7,
  "test/cluster/join.test.ts": 7,
  "test/cluster/node-server.test.ts": 7,
  "test/simulation/mutation.test.ts": 40,
  "test/simulation/simulation.test.ts": 35,
  "test/storage-node/engine/power-cut.test.ts": 16,
  "test/coordinator/ring/placement.test.ts": 15,
  "test/simulation/steps.test.ts": 10,
  "test/simulation/linearizability-random.test.ts": 10,
  "test/storage-node/engine/log-damage.test.ts": 8,
  "test/storage-node/engine/engine.test.ts": 7,
  "test/simulation/etcd.test.ts": 6,
  "test/simulation/world.test.ts": 5,
};
const SECONDS_OTHERWISE = 1;

export class LongestFirst extends BaseSequencer {
  override sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const kinds = [...new Set(files.map(({ project }) => project.name))];
    const placed = kinds.flatMap((kind) => this.#places(files.filter(({ project }) => project.name === kind)));
    return Promise.resolve(placed.toSorted((a, b) => a.at - b.at).map(({ file }) => file));
  }

  /** The files of a kind, and at which part of all its time each begins. */
  #places(files: readonly TestSpecification[]): { readonly file: TestSpecification; readonly at: number }[] {
    const sorted = files.toSorted((a, b) => this.#seconds(b) - this.#seconds(a));
    const total = sorted.reduce((sum, file) => sum + this.#seconds(file), 0);
    let before = 0;
    return sorted.map((file) => {
      const at = before / total;
      before += this.#seconds(file);
      return { file, at };
    });
  }

  #seconds({ moduleId }: TestSpecification): number {
    const name = path.relative(this.ctx.config.root, moduleId).replaceAll(path.sep, "/");
    return SECONDS[name] ?? SECONDS_OTHERWISE;
  }
}
