// Our cluster as a store: storage nodes and one coordinator, as people start them, with REST beside.
import { ClusterProcess, freePort } from "../support/cluster-process.ts";
import type { Roles } from "./load-process.ts";
import type { Store } from "./store.ts";

export interface HoldfastStore extends Store {
  readonly cluster: ClusterProcess;
}

/** @param nodes Storage nodes; three copies where there are as many. */
export async function startHoldfast(nodes: number): Promise<HoldfastStore> {
  const http = await freePort();
  const cluster = await ClusterProcess.start({ nodes, rf: Math.min(3, nodes), http });
  const roles = (): Roles => [
    { role: "coordinator", pid: cluster.coordinator.child.pid ?? 0 },
    ...cluster.nodeIds.map((id) => ({ role: "nodes", pid: cluster.node(id).child.pid ?? 0 })),
  ];
  return {
    name: "holdfast",
    version: `${nodes} nodes, ${Math.min(3, nodes)} copies, level quorum: on disk at a majority`,
    target: { store: "holdfast", address: cluster.address },
    http: `http://127.0.0.1:${http}`,
    get roles() {
      return roles();
    },
    cluster,
    stop: () => cluster.close(),
  };
}
