// Etcd calls: what the pure core asks of an etcd, and what comes back. Few words of etcd's own: keys with a revision that grows with every
// change, a transaction that compares revisions, leases that end when they are not kept alive. The edge puts them into etcd's requests
// and answers every call in bounded time (coordinator/etcd/gateway.ts).
import { Future } from "../../shared/script.ts";

/** Number of a lease, as text: it has 64 bits. */
export type LeaseId = string;

export interface Put {
  readonly key: string;
  readonly value: string;
  /** The key goes when the lease ends. */
  readonly lease?: LeaseId;
}

/** 0 where the key must not be there. */
export interface Expected {
  readonly key: string;
  readonly revision: number;
}

export type EtcdRequest =
  /** All keys as of one instant. */
  | { readonly op: "read"; readonly keys: readonly string[] }
  /** Puts everything if every key is at the expected revision; otherwise nothing, and reads these keys as `read` does. */
  | {
      readonly op: "change";
      readonly expected: readonly Expected[];
      readonly puts: readonly Put[];
      readonly otherwise: readonly string[];
    }
  | { readonly op: "grant"; readonly seconds: number }
  | { readonly op: "keepAlive"; readonly lease: LeaseId }
  | { readonly op: "revoke"; readonly lease: LeaseId };

export interface Entry {
  readonly key: string;
  readonly value: string;
  /** Of its latest change. */
  readonly revision: number;
}

export type EtcdAnswer =
  /** To `read`, and to `change` where an expectation failed: those of the keys that are there. */
  | { readonly type: "entries"; readonly entries: readonly Entry[] }
  /** To `change`: everything was put, at this revision. */
  | { readonly type: "changed"; readonly revision: number }
  /** To `grant` and `keepAlive`. */
  | { readonly type: "lease"; readonly lease: LeaseId }
  /** To `keepAlive`, `revoke` and `change`: the lease is over. */
  | { readonly type: "leaseOver" }
  | { readonly type: "revoked" }
  /** Nobody knows whether it was carried out, or ever will be. */
  | { readonly type: "silent"; readonly message: string };

export interface EtcdEffect {
  readonly type: "agree";
  readonly call: number;
  readonly request: EtcdRequest;
}

/** Calls that wait for their answers. */
export class EtcdCalls {
  readonly #emit: (effect: EtcdEffect) => void;
  readonly #open = new Map<number, Future<EtcdAnswer>>();
  #calls = 0;
  /** Whether the latest answer was one. */
  answers = true;

  constructor(emit: (effect: EtcdEffect) => void) {
    this.#emit = emit;
  }

  call(request: EtcdRequest): Future<EtcdAnswer> {
    const call = ++this.#calls;
    const future = new Future<EtcdAnswer>();
    this.#open.set(call, future);
    this.#emit({ type: "agree", call, request });
    return future;
  }

  answered(call: number, answer: EtcdAnswer): void {
    const future = this.#open.get(call);
    this.#open.delete(call);
    this.answers = answer.type !== "silent";
    future?.resolve(answer);
  }
}
