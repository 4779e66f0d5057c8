// The recorder of histories, and their form as a file.

import { describe, expect, test } from "vitest";
import { ALL_NAMES, randomExecution } from "../support/histories.ts";
import { seededRandom } from "../support/random.ts";
import { HistoryRecorder, parseHistory, serializeHistory } from "./history.ts";
import { checkHistory } from "./linearizability.ts";

describe("recorder and file form", () => {
  function recorded(): HistoryRecorder {
    let now = 0;
    const recorder = new HistoryRecorder({ now: () => ++now });
    const first = recorder.invoke({ client: 1, op: "put", key: "k", value: "a" });
    const second = recorder.invoke({ client: 2, op: "cas", key: "k", value: "b", expected: "1.0" });
    first.ok({ result: { value: "a", version: "1.1" } });
    second.failed({ conditionMet: false, result: { value: "a", version: "1.1" } });
    recorder.invoke({ client: 3, op: "delete", key: "k" }).unknown();
    recorder.invoke({ client: 4, op: "get", key: "k" }).ok({ result: { value: null } });
    recorder.invoke({ client: 4, op: "put", key: "k", value: "c" });
    return recorder;
  }

  test("the recorder keeps order of invocation, both times, and what never came back as unknown", () => {
    const operations = recorded().operations();
    expect(operations.map(({ invoked, completed, outcome }) => [invoked, completed, outcome])).toEqual([
      [1, 3, "ok"],
      [2, 4, "failed"],
      [5, null, "unknown"],
      [6, 7, "ok"],
      [8, null, "unknown"],
    ]);
    expect(checkHistory(operations)).toEqual({ ok: true, operations: 5 });
  });

  test("an operation is answered once, and a recorder is bounded", () => {
    const recorder = new HistoryRecorder({ now: () => 1, operationsMax: 1 });
    const handle = recorder.invoke({ client: 1, op: "get", key: "k" });
    handle.unknown();
    expect(() => handle.ok({ result: { value: null } })).toThrow(/answered twice/);
    expect(() => recorder.invoke({ client: 1, op: "get", key: "k" })).toThrow(/at most 1 operations/);
  });

  test("a history survives its NDJSON form, which has the fields another checker expects", () => {
    const operations = recorded().operations();
    const text = serializeHistory(operations);
    expect(parseHistory(text)).toEqual(operations);
    expect(text.split("\n")[0]).toBe(
      '{"client":1,"op":"put","key":"k","value":"a","result":{"outcome":"ok","value":"a","version":"1.1"},"invoked":1,"completed":3}',
    );
    expect(serializeHistory([])).toBe("");
    const random = seededRandom(1);
    const shape = { count: 200, stretch: 500, unknownShare: 0.3, tellingShare: 0.5, names: ALL_NAMES };
    const long = randomExecution(random, shape).map((operation) => ({
      ...operation,
      invoked: operation.invoked + 1_000,
    }));
    const shifted = long.map((operation) =>
      operation.completed === null ? operation : { ...operation, completed: operation.completed + 1_000 },
    );
    expect(parseHistory(serializeHistory(shifted))).toEqual(shifted);
  });

  test("a line that is wrong is named, with its field", () => {
    const [line = ""] = serializeHistory(recorded().operations()).split("\n");
    expect(() => parseHistory(`${line}\n{"client":`)).toThrow(/line 2 of the history is not JSON/);
    expect(() => parseHistory(line.replace('"put"', '"push"'))).toThrow(/line 1 of the history: wrong op: "push"/);
    expect(() => parseHistory(line.replace('"ok"', '"fine"'))).toThrow(/line 1, result of the history: wrong outcome/);
    expect(() => parseHistory(line.replace('"completed":3', '"completed":"3"'))).toThrow(/wrong completed/);
    expect(() => parseHistory("[]")).toThrow(/line 1/);
  });
});
