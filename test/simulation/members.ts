// Members: the first nodes of a simulated cluster, one after the other: A at port 5001, B at 5002, and so on.
import { expect } from "vitest";
import type { World } from "./world.ts";

/** Adds nodes that the world has already. */
export function addMembers(world: World, count: number): void {
  for (let index = 0; index < count; index++) {
    const node = String.fromCharCode(65 + index);
    const answer = world.ask({ op: "addnode", node, address: `127.0.0.1:${5001 + index}` });
    expect(answer).toMatchObject({ status: "ok", phase: "done" });
  }
}
