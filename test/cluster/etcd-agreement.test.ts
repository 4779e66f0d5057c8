// A real etcd, over its JSON gateway, passes the contract of a place where epoch and state are agreed.
import { describe } from "vitest";
import { agreementContract } from "../contract/agreement.ts";
import { realEtcdPlace } from "../contract/agreement-places.ts";
import { hasEtcd } from "../support/etcd-process.ts";

describe.skipIf(!hasEtcd)("a real etcd", () => {
  agreementContract("etcd-server of this machine", realEtcdPlace);
});
