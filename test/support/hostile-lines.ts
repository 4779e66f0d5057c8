// Lines that no honest peer sends, from a seed: well-formed requests bent, cut, nested, swollen or mixed with noise. For
// tests that a port survives them; what each answers is for the tests to say.

type Json = null | boolean | number | string | Json[] | { [field: string]: Json };

const REQUESTS: readonly { readonly [field: string]: Json }[] = [
  { op: "ping" },
  { op: "hello", versions: [1, 1] },
  { op: "put", key: "k", value: "v" },
  { op: "put", key: "k", value: { base64: "AAA=" }, consistency: "all", ifVersion: "1.1", timeoutMs: 100 },
  { op: "get", key: "k", consistency: "one" },
  { op: "delete", key: "k", operation: "c:1", firstEpoch: 1 },
  { op: "scan", prefix: "k", limit: 10 },
  { op: "where", key: "k" },
  { op: "status" },
  { op: "stats" },
  { op: "addnode", node: "Z", address: "127.0.0.1:1", weight: 1 },
  { op: "removenode", node: "nobody" },
  { op: "cancel", operation: "1" },
  { op: "read", key: "k" },
  { op: "prepare", epoch: 1, owner: "o" },
  { op: "accept", ballot: [1, 1], owner: "o", state: "{}" },
  { op: "batch", ops: [{ id: 1, op: "get", key: "k" }] },
  { op: "hello", versions: [1, 1], compact: true },
  { op: "batch", timeoutMs: 100, rows: [1, "k", false, "", 2, "k", "v", "c:1"] },
  { op: "batch", cluster: "c", incarnation: "i", group: 0, epoch: 1, writes: [1, 1, 0, 1, "k", "v", ""] },
  { op: "batch", cluster: "c", incarnation: "i", group: 0, epoch: 1, reads: [1, 1, 0, "k", 0] },
  {
    op: "batch",
    cluster: "c",
    incarnation: "i",
    group: 0,
    epoch: 4_294_967_295,
    ops: [{ op: "write", slot: 1, stamp: [1, 0], key: "k", value: "v", version: [1, 1] }],
  },
];

const ODD: readonly Json[] = [
  null,
  true,
  -1,
  0.5,
  1e308,
  2 ** 53,
  "",
  "\u0000",
  "\ud800",
  "k".repeat(1025),
  "__proto__",
  [],
  {},
  [[]],
  { base64: "!" },
  [1, -1],
];

/** Bytes of one line or piece of a line, sometimes without its end. */
export function hostileLine(random: () => number): Uint8Array {
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
  const request = (): string => JSON.stringify({ id: Math.floor(random() * 1e6), ...pick(REQUESTS) });
  const kinds: (() => string | Uint8Array)[] = [
    () => request().slice(0, Math.floor(random() * 40)),
    () => JSON.stringify(bent({ id: 1, ...pick(REQUESTS) }, pick, random)),
    () => JSON.stringify(bent({ id: 1, ...pick(REQUESTS) }, pick, random)),
    () => `${"[".repeat(5_000)}${"]".repeat(random() < 0.5 ? 5_000 : 0)}`,
    () => `{"id":1,"op":"put","key":"k","value":${'{"a":'.repeat(3_000)}1${"}".repeat(3_000)}}`,
    () => `{"id":1,"op":"${pick(["", "unknown", "constructor", "__proto__", "PUT", "toString"])}"}`,
    () => `{"id":${pick(["null", '"x"', "-1", "1e999", "{}", "[1]"])},"op":"ping"}`,
    () => JSON.stringify({ id: 2, op: "put", key: "k", value: "v".repeat(100_000) }).slice(0, -3),
    () => Uint8Array.from({ length: 1 + Math.floor(random() * 300) }, () => Math.floor(random() * 256)),
    () =>
      Buffer.concat([Buffer.from('{"id":3,"op":"get","key":"'), Buffer.from([0xff, 0xfe, 0xc0]), Buffer.from('"}')]),
    () => "\r\n\n\u0000\n \t",
    () => `${request()}${request()}`,
    () => "\ufeff" + request(),
  ];
  const content = Buffer.from(pick(kinds)() as Uint8Array);
  return random() < 0.9 ? Buffer.concat([content, Buffer.from("\n")]) : content;
}

/** The request with one field, at any depth of two, replaced, removed or doubled under an odd name. */
function bent(
  request: { [field: string]: Json },
  pick: <T>(items: readonly T[]) => T,
  random: () => number,
): { [field: string]: Json } {
  const copy = { ...request };
  const field = pick(Object.keys(copy));
  const inner = copy[field];
  if (Array.isArray(inner) && inner.length > 0 && random() < 0.5) copy[field] = [pick(ODD), ...inner.slice(1)];
  else if (random() < 0.2) delete copy[field];
  else copy[field] = pick(ODD);
  return copy;
}
