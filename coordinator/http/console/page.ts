// Page: the console at `/`: one page, its style and its modules, as they lie beside this file, and the chart library from its package.
// Its policy allows nothing but these, from this very server: no inline script or style, no other host, no frame, no form that leaves.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import type { Route } from "../routes.ts";
import { STREAM_PATH, type Streams } from "./stream.ts";

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml",
};

const OWN = [
  "colors.css",
  "frame.css",
  "parts.css",
  "icon.svg",
  "api.js",
  "charts.js",
  "colors.js",
  "events.js",
  "format.js",
  "keys.js",
  "main.js",
  "manage.js",
  "nodes.js",
  "operations.js",
  "ring.js",
  "stream.js",
  "theme.js",
] as const;

const CHARTS = ["uPlot.esm.js", "uPlot.min.css"] as const;

/** Routes that belong to no API: they are not in its description. */
export function consoleRoutes(streams: Streams): Route[] {
  const own = path.join(import.meta.dirname, "static");
  const charts = path.dirname(createRequire(import.meta.url).resolve("uplot/dist/uPlot.esm.js"));
  return [
    fileRoute("/", path.join(own, "index.html")),
    ...OWN.map((name) => fileRoute(`/console/${name}`, path.join(own, name))),
    ...CHARTS.map((name) => fileRoute(`/console/${name}`, path.join(charts, name))),
    {
      method: "GET",
      path: STREAM_PATH,
      name: "consoleEvents",
      summary: "What the console shows, as server-sent events",
      answers: { 200: { description: "frames", types: ["text/event-stream"] } },
      handle: async (request, reply) => await streams.serve(request, reply),
    },
  ];
}

/** Files are small and few: each is read when it is first asked for, and kept. */
function fileRoute(at: string, file: string): Route {
  let kept: { readonly bytes: Buffer; readonly etag: string } | undefined;
  return {
    method: "GET",
    path: at,
    name: `console ${at}`,
    summary: "A file of the console",
    answers: { 200: { description: "the file" } },
    handle: async ({ headers }, reply) => {
      kept ??= tagged(readFileSync(file));
      void reply.headers({
        "content-security-policy": POLICY,
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        etag: kept.etag,
      });
      if (headers["if-none-match"] === kept.etag) return reply.code(304).send();
      return reply.type(TYPES[path.extname(file).slice(1)] ?? "application/octet-stream").send(kept.bytes);
    },
  };
}

function tagged(bytes: Buffer): { readonly bytes: Buffer; readonly etag: string } {
  return { bytes, etag: `"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"` };
}
