// Calls of the REST API, at this page's own coordinator; the header has it pass them on to the leader. Every refusal is an Error with the
// problem's words and its `code`.

export class Refusal extends Error {
  constructor(status, problem) {
    super(problem.detail ?? problem.title ?? `the coordinator answered ${status}`);
    this.status = status;
    this.code = problem.code ?? "UNKNOWN";
    this.outcome = problem.outcome ?? "unknown";
    this.version = problem.version;
  }
}

/** @returns the JSON answer @throws Refusal, or TypeError where nobody answers */
export async function call(method, path, { body, headers } = {}) {
  const response = await fetch(path, {
    method,
    headers: {
      accept: "application/json",
      "x-holdfast-relay": "page",
      ...(body !== undefined && { "content-type": "application/json" }),
      ...headers,
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refusal(response.status, answer);
  return answer;
}

/** @returns value, version, and whether it may be stale */
export function getKey(key, consistency) {
  if (unspeakable(key)) return alone({ op: "get", key, consistency });
  return call("GET", `${keyPath(key)}?consistency=${consistency}`);
}

/** Stores on the condition that the version is still this one; without a version: that there is no value. */
export function putKey(key, { value, version, consistency }) {
  const condition = version === undefined ? { ifAbsent: true } : { ifVersion: version };
  if (unspeakable(key)) return alone({ op: "put", key, value, consistency, ...condition });
  const headers = version === undefined ? { "if-none-match": "*" } : { "if-match": `"${version}"` };
  return call("PUT", keyPath(key), { headers, body: { value, consistency } });
}

/** Deletes on the condition that the version is still this one. */
export function deleteKey(key, { version, consistency }) {
  if (unspeakable(key)) return alone({ op: "delete", key, consistency, ifVersion: version });
  return call("DELETE", `${keyPath(key)}?consistency=${consistency}`, { headers: { "if-match": `"${version}"` } });
}

function keyPath(key) {
  return `/keys/${encodeURIComponent(key)}`;
}

/** Keys that browsers take for a way up the path, however they are written: they go in a batch. */
function unspeakable(key) {
  return key === "." || key === "..";
}

async function alone(operation) {
  const { results } = await call("POST", "/batch", { body: { operations: [operation] } });
  const [result] = results;
  if (result.status !== "ok") throw new Refusal(200, { ...result, detail: result.message });
  return result;
}

/** What to tell a person of something that was thrown. */
export function wordsOf(error) {
  if (error instanceof Refusal) {
    return error.outcome === "unknown" && (error.status >= 500 || error.status === 200)
      ? `${error.message} (outcome unknown)`
      : error.message;
  }
  return "this page’s coordinator does not answer";
}
