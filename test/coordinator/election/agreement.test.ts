// Every place where epoch and state are agreed passes one contract: test/contract/agreement.ts.
import { describe } from "vitest";
import { agreementContract, type AgreementHarness } from "../../contract/agreement.ts";
import { simulatedEtcdPlace, votersPlace } from "../../contract/agreement-places.ts";

let seeds = 0;

agreementContract("storage nodes vote", () => Promise.resolve(votersPlace(++seeds)));
agreementContract("an etcd", () => Promise.resolve(simulatedEtcdPlace(++seeds, 0)));
describe.each([1, 2, 3, 4])("again (%i)", () => {
  const open = (): Promise<AgreementHarness> => Promise.resolve(simulatedEtcdPlace(++seeds, 0.15));
  agreementContract("an etcd that loses calls and answers", open, { reliable: false });
});
