import { describe, expect, test } from "vitest";
import { describeFailure, exitStatusOf, InterruptedError, UsageError } from "../../../coordinator/shell/failure.ts";
import { ERRORS, KvError } from "../../../shared/errors.ts";
import type { ErrorCode } from "../../../shared/errors.ts";

const PUT = { command: "put", writes: true, lookWith: "get apple" };
const GET = { command: "get", writes: false };

describe("exit statuses", () => {
  test.each([
    ["NOT_FOUND", 1],
    ["CONDITION_FAILED", 1],
    ["NO_SUCH_NODE", 1],
    ["LAST_COPY", 1],
    ["BAD_REQUEST", 2],
    ["TOO_LARGE", 2],
    ["NO_QUORUM", 3],
    ["NO_LEADER", 3],
    ["OVERLOADED", 3],
    ["TIMEOUT", 4],
    ["LOST", 4],
    ["PARTIAL", 4],
  ] as const)("a write that ends in %s exits with %i", (code, status) => {
    expect(exitStatusOf(new KvError(code, "x"), { writes: true })).toBe(status);
  });

  test("C8: every code with an unknown outcome exits with 4 after a write, and no other does", () => {
    for (const code of Object.keys(ERRORS) as ErrorCode[]) {
      const unknown = ERRORS[code].outcome === "unknown";
      expect(exitStatusOf(new KvError(code, "x"), { writes: true }) === 4, code).toBe(unknown);
    }
  });

  test("a read has no effect, so a read without an answer is unavailable", () => {
    expect(exitStatusOf(new KvError("TIMEOUT", "x"), GET)).toBe(3);
    expect(exitStatusOf(new InterruptedError(), GET)).toBe(3);
    expect(exitStatusOf(new InterruptedError(), PUT)).toBe(4);
  });

  test("usage is 2", () => {
    expect(exitStatusOf(new UsageError("x"), PUT)).toBe(2);
  });
});

describe("wording", () => {
  test("C8: an unknown outcome is worded as unknown, with what shows it", () => {
    const failure = describeFailure(new KvError("TIMEOUT", "no quorum answered within 2000 ms."), PUT);
    expect(failure.line).toBe(
      "The put may or may not have happened: no quorum answered within 2000 ms; `get apple` shows",
    );
    expect(failure.json).toMatchObject({ status: "error", code: "TIMEOUT", outcome: "unknown", retryable: true });
  });

  test("the session's own word on the outcome is not repeated", () => {
    const lost = new KvError("LOST", "put was sent to A, which went away (reset): it may have happened");
    expect(describeFailure(lost, PUT).line).toBe(
      "The put may or may not have happened: put was sent to A, which went away (reset); `get apple` shows",
    );
    expect(describeFailure(lost, GET).line).toBe("Error: put was sent to A, which went away (reset)");
  });

  test("an error says what to do next, once", () => {
    expect(describeFailure(new KvError("NO_CLUSTER", "no node was added yet"), PUT).line).toBe(
      "Error: no node was added yet; add the first node: addnode A 5001",
    );
    expect(describeFailure(new KvError("NO_CLUSTER", "no node yet; add one"), PUT).line).toBe(
      "Error: no node yet; add one",
    );
    expect(describeFailure(new UsageError("bad", { hint: "do so" }), PUT).line).toBe("Error: bad; do so");
  });

  test("details of an error are part of its JSON", () => {
    const { json } = describeFailure(new KvError("CONDITION_FAILED", "x", { version: "3.4" }), PUT);
    expect(json).toEqual({
      status: "error",
      code: "CONDITION_FAILED",
      message: "x",
      retryable: false,
      outcome: "failed",
      version: "3.4",
    });
  });
});
