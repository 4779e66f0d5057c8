// The API's own description as a judge: every answer that a test gets is checked against the OpenAPI document, with all of its objects
// closed, so that a field, status or media type that the document does not name is a failure.
import { Ajv2020 } from "ajv/dist/2020.js";
import type { ValidateFunction } from "ajv";

interface Media {
  readonly schema?: { readonly $ref: string };
}

interface Answer {
  readonly content?: Readonly<Record<string, Media>>;
  readonly headers?: Readonly<Record<string, unknown>>;
}

interface Document {
  readonly openapi: string;
  readonly paths: Readonly<
    Record<string, Readonly<Record<string, { operationId: string; responses: Readonly<Record<string, Answer>> }>>>
  >;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
}

export interface Exchange {
  readonly method: string;
  /** Path without the query. */
  readonly path: string;
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Buffer;
}

export class Contract {
  readonly document: Document;
  readonly #schemas = new Map<string, ValidateFunction>();

  constructor(document: unknown) {
    this.document = document as Document;
    const ajv = new Ajv2020({ strict: false, allErrors: true });
    ajv.addSchema(closedCopy(this.document) as object, "api");
    for (const name of Object.keys(this.document.components.schemas)) {
      this.#schemas.set(`#/components/schemas/${name}`, ajv.compile({ $ref: `api#/components/schemas/${name}` }));
    }
  }

  /** Why the answer is none that the document allows; empty where it is one. */
  complaints({ method, path, status, headers, bytes }: Exchange): string[] {
    const type = headers.get("content-type")?.split(";")[0] ?? "";
    const operation = this.#operation(method, path);
    if (!operation)
      return type === "application/problem+json" ? this.#judge("Problem", bytes) : [`undocumented ${method} ${path}`];
    const answer = operation.responses[String(status)] ?? operation.responses["default"];
    const missing = Object.keys(answer?.headers ?? {}).filter((name) => !headers.has(name));
    if (missing.length > 0) return [`${status} without ${missing.join(", ")}`];
    if (method === "HEAD") return bytes.length === 0 ? [] : ["a HEAD with a body"];
    const media = answer?.content?.[type];
    if (!answer?.content) return bytes.length === 0 ? [] : [`${status} has a body that is not documented`];
    if (!media) return [`${status} comes as ${type}, not as ${Object.keys(answer.content).join(", ")}`];
    return media.schema ? this.#judge(media.schema.$ref.split("/").at(-1) ?? "", bytes) : [];
  }

  #judge(name: string, bytes: Buffer): string[] {
    const validate = this.#schemas.get(`#/components/schemas/${name}`);
    if (!validate) return [`no schema ${name}`];
    if (validate(JSON.parse(bytes.toString()))) return [];
    return (validate.errors ?? []).map(
      ({ instancePath, message, params }) => `${name}${instancePath} ${message} ${JSON.stringify(params)}`,
    );
  }

  #operation(method: string, path: string): { responses: Readonly<Record<string, Answer>> } | undefined {
    const found = Object.keys(this.document.paths).find((pattern) => {
      const source = pattern.replace("{key}", ".*").replaceAll(/\{\w+\}/g, "[^/]+");
      return new RegExp(`^${source}$`, "s").test(path);
    });
    const methods = found === undefined ? undefined : this.document.paths[found];
    return methods?.[method.toLowerCase()];
  }
}

/** Every object schema takes only what it names. */
function closedCopy(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(closedCopy);
  if (typeof value !== "object" || value === null) return value;
  const copy = Object.fromEntries(Object.entries(value).map(([name, part]) => [name, closedCopy(part)]));
  return copy["type"] === "object" && copy["properties"] !== undefined
    ? { ...copy, additionalProperties: false }
    : copy;
}
