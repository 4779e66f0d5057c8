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

export function keyPath(key) {
  return `/keys/${encodeURIComponent(key)}`;
}

/** What to tell a person of something that was thrown. */
export function wordsOf(error) {
  if (error instanceof Refusal) {
    return error.outcome === "unknown" && error.status >= 500 ? `${error.message} (outcome unknown)` : error.message;
  }
  return "this page’s coordinator does not answer";
}
