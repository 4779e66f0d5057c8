// Both engines pass the one contract.
import { engineContract } from "../../contract/engine.ts";
import { DiskHarness, MemoryHarness } from "../../support/engine-harness.ts";

engineContract("memory", () => Promise.resolve(new MemoryHarness()));
engineContract("disk", () => DiskHarness.open());
