// OpenAPI: the API's description, made from the declarations that serve it, so it cannot say anything else. Version 3.1, whose schemas are
// JSON Schema.
import { STATUS_CODES } from "node:http";
import { ANSWERS, ref } from "./answers.ts";
import { parametersOf, type AnswerForm, type Route } from "./routes.ts";
import { KEY, TEXT, type Schema } from "./schemas.ts";

const PROBLEM_CONTENT = { "application/problem+json": { schema: ref("Problem") } };

const HEADERS: Readonly<Record<string, object>> = {
  ETag: { description: "the version in quotes, for If-Match", schema: TEXT },
  Location: { description: "the operation to follow", schema: TEXT },
};

/** A coordinator that does not lead sends these on. */
const FOR_THE_LEADER = /^\/(?:keys|batch|admin)\b/;
const SENT_ON = {
  description: "this coordinator does not lead: Location is the same at the leader, with method and body kept",
  headers: { Location: { description: "where to send it again", schema: TEXT } },
};

/** Asked for where the cluster has a token (shared/io/http-door.ts); probes need none. */
const SECURITY = {
  token: { type: "http", scheme: "bearer", description: "a token of the cluster; a reader's is good for GET and HEAD" },
  password: { type: "http", scheme: "basic", description: "the same token as the password, for browsers" },
};

const DESCRIPTION = `A distributed key-value store. A coordinator that does not lead answers 307 with the leader's address, or 503.
Every error is application/problem+json with \`code\` to match by, \`retryable\`, and \`outcome\`: \`failed\` had no effect, \`unknown\` may have.
Keys are percent-encoded, \`/\` may stay as it is; the keys \`.\` and \`..\`, which URLs cannot carry, go through /batch.`;

/** @param version Of this software. */
export function openApi(routes: readonly Route[], version: string): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    const methods = (paths[route.path] ??= {});
    methods[route.method.toLowerCase()] = operation(route);
    if (route.head !== undefined) methods["head"] = headOf(route, route.head);
  }
  return {
    openapi: "3.1.0",
    info: { title: "Holdfast", version, description: DESCRIPTION, license: { name: "MIT", identifier: "MIT" } },
    servers: [{ url: "/" }],
    paths,
    security: [{}, { token: [] }, { password: [] }],
    components: { schemas: ANSWERS, securitySchemes: SECURITY },
  };
}

interface Response {
  readonly description: string;
  readonly headers?: object;
  readonly content?: object;
}

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly parameters?: readonly object[];
  readonly requestBody?: object;
  readonly responses: Readonly<Record<string, Response>>;
}

function operation({ name, summary, path, query, headers, body, answers, refusals }: Route): Operation {
  const parameters = [
    ...parametersOf(path).map((id) => ({ name: id, in: "path", required: true, schema: id === "key" ? KEY : TEXT })),
    ...Object.entries(query ?? {}).map(([id, schema]) => ({ name: id, in: "query", schema })),
    // OpenAPI has Accept follow from the content types of the answers.
    ...Object.entries(headers ?? {})
      .filter(([id]) => id !== "Accept")
      .map(([id, description]) => ({ name: id, in: "header", description, schema: TEXT })),
  ];
  return {
    operationId: name,
    summary,
    ...(parameters.length > 0 && { parameters }),
    ...(body && { requestBody: { required: true, content: contentOf(body.schema, body.bytes === true) } }),
    responses: {
      ...Object.fromEntries(Object.entries(answers).map(([status, form]) => [status, answer(form)])),
      ...(FOR_THE_LEADER.test(path) && { 307: SENT_ON }),
      ...Object.fromEntries((refusals ?? []).map((status) => [status, problem(STATUS_CODES[status] ?? "refused")])),
      default: problem("any other error"),
    },
  };
}

/** The same without bodies. */
function headOf(route: Route, name: string): object {
  const get = operation(route);
  const responses = Object.entries(get.responses).map(([status, { content: _content, ...rest }]) => [status, rest]);
  const summary = `${route.summary}: its header fields alone`;
  return { ...get, operationId: name, summary, responses: Object.fromEntries(responses) };
}

function contentOf(schema: Schema, bytes: boolean): object {
  return { "application/json": { schema }, ...(bytes && { "*/*": {} }) };
}

function answer({ description, json, types, headers }: AnswerForm): Response {
  const content = {
    ...(json !== undefined && { "application/json": { schema: ref(json) } }),
    ...Object.fromEntries((types ?? []).map((type) => [type, {}])),
  };
  return {
    description,
    ...(headers && { headers: Object.fromEntries(headers.map((name) => [name, HEADERS[name]])) }),
    ...(Object.keys(content).length > 0 && { content }),
  };
}

function problem(description: string): Response {
  return { description, content: PROBLEM_CONTENT };
}
