// In step: when the members of a slot are known to hold the same, and what ends that.
import { expect, test } from "vitest";
import { InStep } from "../../../coordinator/cluster/in-step.ts";

/** As after a comparison that found no difference. */
function compared(): InStep {
  const inStep = new InStep();
  inStep.foundEqual(inStep.disturbances);
  return inStep;
}

test("nothing is known before a comparison; then members are in step while no write is on its way", () => {
  expect(new InStep().now).toBe(false);
  const inStep = compared();
  expect(inStep.now).toBe(true);
  inStep.sent();
  inStep.sent();
  inStep.arrived();
  expect(inStep).toMatchObject({ now: false, known: true, onTheirWay: 1 });
  inStep.arrived();
  expect(inStep.now).toBe(true);
});

test("a comparison that finds members equal while a write is on its way holds once that has arrived", () => {
  const inStep = new InStep();
  inStep.sent();
  inStep.foundEqual(inStep.disturbances);
  expect(inStep.now).toBe(false);
  inStep.arrived();
  expect(inStep.now).toBe(true);
});

test("a write that a member did not acknowledge ends it until the next comparison, not until it has arrived", () => {
  const inStep = compared();
  inStep.sent();
  inStep.strayed(true);
  expect(inStep).toMatchObject({ now: false, known: false, onTheirWay: 0 });
  inStep.foundEqual(inStep.disturbances);
  expect(inStep.now).toBe(true);
});

test("what a comparison found does not stand where something was disturbed while it lasted", () => {
  for (const disturb of [
    (inStep: InStep) => inStep.disturb(),
    (inStep: InStep) => {
      inStep.sent();
      inStep.strayed(true);
    },
  ]) {
    const inStep = new InStep();
    const since = inStep.disturbances;
    disturb(inStep);
    inStep.foundEqual(since);
    expect(inStep.known).toBe(false);
  }
});

test("what no member is known to have may surface at one of them: no comparison counts before, nor one that it surfaces during", () => {
  const inStep = compared();
  inStep.sent();
  inStep.strayed(false);
  const since = inStep.disturbances;
  inStep.foundEqual(since);
  expect(inStep.known).toBe(false);
  inStep.surfaced();
  inStep.foundEqual(since);
  expect(inStep.known).toBe(false);
  inStep.foundEqual(inStep.disturbances);
  expect(inStep.known).toBe(true);
});

test("what every member has refused cannot surface any more", () => {
  const inStep = compared();
  inStep.sent();
  inStep.strayed(false);
  inStep.sank();
  inStep.foundEqual(inStep.disturbances);
  expect(inStep.known).toBe(true);
});
