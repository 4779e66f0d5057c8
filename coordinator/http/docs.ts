// Docs: the API's description for programs (`/openapi.json`) and for people (`/docs`): one page of plain HTML, written here from the same
// routes and the error table, that asks for nothing else: no script, no font, no other host. Its policy allows its own style and no more.
import { createHash } from "node:crypto";
import { ERRORS } from "../../shared/errors.ts";
import { openApi } from "./openapi.ts";
import { parametersOf, type Route } from "./routes.ts";

const STYLE = `
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h2 { margin-top: 2.5rem; } h3 { margin-bottom: .25rem; overflow-wrap: anywhere; }
code, pre { font-family: ui-monospace, monospace; font-size: .9em; }
.method { display: inline-block; min-width: 4.5em; font-weight: 700; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; vertical-align: top; padding: .25rem .5rem; border-bottom: 1px solid #8886; }
summary { cursor: pointer; } pre { overflow: auto; padding: .75rem; background: #8882; border-radius: .25rem; }
:target { background: #fc06; }
`;

const POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash("sha256").update(STYLE).digest("base64")}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** @param routes All the others. @param version Of this software. */
export function docsRoutes(routes: readonly Route[], version: string): Route[] {
  const description: Route = {
    method: "GET",
    path: "/openapi.json",
    name: "openapi",
    summary: "This description, for programs (OpenAPI 3.1)",
    answers: { 200: { description: "the document", types: ["application/json"] } },
    handle: async (_request, reply) => reply.type("application/json; charset=utf-8").send(text),
  };
  const page: Route = {
    method: "GET",
    path: "/docs",
    name: "docs",
    summary: "This description, for people",
    answers: { 200: { description: "the page", types: ["text/html"] } },
    handle: async (_request, reply) =>
      reply
        .headers({ "content-security-policy": POLICY, "referrer-policy": "no-referrer" })
        .type("text/html; charset=utf-8")
        .send(html),
  };
  const all = [...routes, description, page];
  const text = JSON.stringify(openApi(all, version));
  const html = pageOf(all, version);
  return [description, page];
}

function pageOf(routes: readonly Route[], version: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Holdfast API</title><style>${STYLE}</style></head>
<body><h1>Holdfast ${escaped(version)}: REST API</h1>
<p>For programs: <a href="/openapi.json">/openapi.json</a> (OpenAPI 3.1).</p>
<main><h2>Calls</h2>
${routes.map(callOf).join("\n")}
<h2>Errors</h2>
<p>Every error is <code>application/problem+json</code>. Outcome <b>failed</b>: it had no effect; <b>unknown</b>: it may have had.</p>
<table><thead><tr><th>code</th><th>status</th><th>outcome</th><th>retry</th><th>meaning</th></tr></thead><tbody>
${Object.entries(ERRORS).map(errorRow).join("\n")}
</tbody></table></main></body></html>
`;
}

function callOf(route: Route): string {
  const { method, path, name, summary, query, headers, body, answers, refusals } = route;
  const parameters = [
    ...parametersOf(path).map((id) => [id, "path", ""]),
    ...Object.entries(query ?? {}).map(([id, schema]) => [id, "query", wordsOf(schema)]),
    ...Object.entries(headers ?? {}).map(([id, description]) => [id, "header", description]),
  ];
  const rows = parameters.map((cells) => `<tr>${cells.map((cell) => `<td>${escaped(cell ?? "")}</td>`).join("")}</tr>`);
  const forms = Object.entries(answers).map(([status, { description }]) => `${status}: ${description}`);
  return `<section id="${name}"><h3><span class="method">${method}</span> <code>${escaped(path)}</code></h3>
<p>${escaped(summary)}.</p>${rows.length > 0 ? `<table><tbody>${rows.join("")}</tbody></table>` : ""}
${body ? `<details><summary>Body${body.bytes === true ? " (JSON as follows, or raw bytes with any other Content-Type)" : ""}</summary><pre>${escaped(JSON.stringify(body.schema, null, 2))}</pre></details>` : ""}
<p>Answers ${escaped(forms.join("; "))}.${refusals ? ` Refuses with ${refusals.join(", ")}.` : ""}</p></section>`;
}

function wordsOf({ type, enum: choices, ...rest }: Readonly<Record<string, unknown>>): string {
  const kind = Array.isArray(choices) ? choices.join(" | ") : String(type);
  const { minimum, maximum, description } = rest;
  const range = typeof minimum === "number" && typeof maximum === "number" ? ` ${minimum}–${maximum}` : "";
  return `${kind}${range}${typeof description === "string" ? `: ${description}` : ""}`;
}

function errorRow([code, { http, outcome, retryable, meaning }]: readonly [
  string,
  (typeof ERRORS)[keyof typeof ERRORS],
]): string {
  const cells = [`<code>${code}</code>`, http, outcome, retryable ? "yes" : "no", escaped(meaning)];
  return `<tr id="${code}">${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
