// Batch: many operations in one request, a result each. They are one client's, so those on one key happen in their order; nothing else ties
// them together: it is no transaction. The request succeeds even where every operation was refused, but for one case: a coordinator
// that does not lead refuses all, and says so as for any other call.
import { errorAnswer, KvError } from "../../shared/errors.ts";
import type { Answered, Backend, DataMessage } from "./backend.ts";
import { travelling } from "./keys.ts";
import type { Route } from "./routes.ts";
import { BATCH_BODY, BATCH_QUERY } from "./schemas.ts";

/** @param valueBytesMax Largest value taken. */
export function batchRoute(backend: Backend, valueBytesMax: number): Route {
  return {
    method: "POST",
    path: "/batch",
    name: "batch",
    summary: "Many puts, gets and deletes, a result each; no transaction",
    query: BATCH_QUERY,
    body: { schema: BATCH_BODY },
    answers: { 200: { description: "a result for each operation, in their order", json: "BatchResults" } },
    refusals: [400, 413, 415, 503],
    handle: async (request) => {
      const { operations } = request.body as { readonly operations: readonly DataMessage[] };
      const query = request.query as { readonly timeoutMs?: number };
      const prepared = operations.map((operation) => prepare({ ...operation, ...query }, valueBytesMax));
      const sent = prepared.filter((one): one is DataMessage => !(one instanceof KvError));
      const answers = (sent.length === 0 ? [] : await backend.batch(sent)).values();
      const results = prepared.map((one) =>
        one instanceof KvError ? one : (answers.next().value as Answered | KvError),
      );
      const notLeader = results.find((result) => result instanceof KvError && result.code === "NOT_LEADER");
      if (notLeader) throw notLeader as KvError;
      return { results: results.map(shown) };
    },
  };
}

/** The operation as it travels, or why it does not. */
function prepare(operation: DataMessage, valueBytesMax: number): DataMessage | KvError {
  if (operation.op === "delete") return { ...operation, found: true };
  if (operation.op === "get") return operation;
  try {
    return { ...operation, value: travelling(operation.value, valueBytesMax) };
  } catch (error) {
    if (error instanceof KvError) return error;
    throw error;
  }
}

function shown(result: Answered | KvError): object {
  if (result instanceof KvError) {
    const { address: _address, ...details } = result.details;
    return errorAnswer(new KvError(result.code, result.message, details));
  }
  const { version, value, stale } = result;
  return { status: "ok", version, ...(value !== undefined && { value }), ...(stale === true && { stale }) };
}
