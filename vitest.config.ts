// Three kinds of tests. `timed` (real processes under load, every operation with a deadline, fail-overs measured) come first, two files at
// a time: they wait more than they compute, but nothing else may take the cores from them. Then, in one queue, `unit`, which computes, and
// `cluster`, real processes that mostly wait: one worker more than there are cores, mixed by test/support/sequencer.ts. The long ones run
// only under `npm run test:long`, where times are judged more strictly: there processes have the machine for themselves.
import os from "node:os";
import { defineConfig } from "vitest/config";
import { LongestFirst } from "./test/support/sequencer.ts";

const PROCESSES = ["test/cluster/**/*.test.ts", "test/console/**/*.test.ts"];
const TIMED = ["standby", "kill", "topology", "etcd", "chaos"].map((name) => `test/cluster/${name}.test.ts`);
const long = process.env["HOLDFAST_LONG"] === "1";
const cores = os.availableParallelism();
/** No more where there are many cores: what is left then is a few long files, and each worker has ports of its own. */
const WORKERS_MAX = 8;
/** Only what hangs is ended: tests wait for conditions, and a machine that is lent to others may take ten times as long as alone. */
const processTimeouts = { testTimeout: long ? 1_800_000 : 420_000, hookTimeout: 120_000 };

export default defineConfig({
  test: {
    environment: "node",
    pool: "forks",
    passWithNoTests: true,
    reporters: ["default"],
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        extends: true,
        test: {
          name: "timed",
          include: [...TIMED, ...(long ? ["test/long/**/*.test.ts"] : [])],
          ...processTimeouts,
          maxWorkers: long ? 1 : 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: "cluster",
          include: PROCESSES,
          exclude: TIMED,
          ...processTimeouts,
          maxWorkers: long ? 1 : Math.min(WORKERS_MAX, cores + 1),
          sequence: { groupOrder: long ? 2 : 3 },
        },
      },
      {
        extends: true,
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: ["test/cluster/**", "test/console/**", "test/long/**"],
          testTimeout: long ? 600_000 : 240_000,
          hookTimeout: 60_000,
          maxWorkers: long ? cores : Math.min(WORKERS_MAX, cores + 1),
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
});
