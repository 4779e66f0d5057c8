// Health check for containers: exit status 0 when the process on this machine answers a ping, 1 otherwise. It asks nothing of the cluster:
// restarting a process mends no other one. A ping needs no token; where the port speaks TLS it needs the process's own TLS flags.
//
//   node deploy/healthcheck.mjs 5001 [--host db1.example] [--tls-ca … --tls-cert … --tls-key …]
//
// Without arguments it takes those in HOLDFAST_HEALTHCHECK, for a HEALTHCHECK that is written before the flags are known.

import { parseArgs } from "node:util";
import { ask } from "../dist/storage-node/ask.js";
import { loadSecurity } from "../dist/shared/io/security.js";

const TIMEOUT_MS = 3_000;
const given = process.argv.length > 2 ? process.argv.slice(2) : (process.env.HOLDFAST_HEALTHCHECK ?? "7401").split(" ");
const file = { type: "string" };
const options = { host: file, "tls-ca": file, "tls-cert": file, "tls-key": file };
const { positionals, values } = parseArgs({ args: given, options, allowPositionals: true });
const files = { tlsCa: values["tls-ca"], tlsCert: values["tls-cert"], tlsKey: values["tls-key"] };
const { credentials } = loadSecurity(files, {});
const connection = { lineBytesMax: 65_536, requireObjectFirst: false, outputBytesMax: 65_536 };
const address = `${values.host ?? "127.0.0.1"}:${positionals[0] ?? ""}`;
const answer = await ask(address, { op: "ping" }, { timeoutMs: TIMEOUT_MS, connection, credentials });
const healthy = answer?.status === "ok";
if (!healthy) process.stderr.write(`no answer from ${address}\n`);
process.exit(healthy ? 0 : 1);
