// Three groups, one after the other: tests of pure code share the cores; tests with real processes (test/cluster, test/console)
// run one file at a time, because they measure time-outs and fail-overs; the long ones only under `npm run test:long`.
import { defineConfig } from "vitest/config";

const PROCESSES = ["test/cluster/**/*.test.ts", "test/console/**/*.test.ts"];
const long = process.env["HOLDFAST_LONG"] === "1";

export default defineConfig({
  test: {
    environment: "node",
    pool: "forks",
    maxWorkers: 2,
    passWithNoTests: true,
    reporters: ["default"],
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: ["test/cluster/**", "test/console/**", "test/long/**"],
          testTimeout: long ? 600_000 : 60_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: "cluster",
          include: [...PROCESSES, ...(long ? ["test/long/**/*.test.ts"] : [])],
          fileParallelism: false,
          maxWorkers: 1,
          testTimeout: long ? 1_800_000 : 120_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
