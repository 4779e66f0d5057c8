// Validators: from the schemas of the routes to functions that judge a request. Two rules for two sources: a query is text, so a number is
// read out of it; a JSON body says what it means, so nothing is coerced, defaulted or dropped.
import { Ajv, type ErrorObject, type ValidateFunction } from "ajv";
import { KvError } from "../../shared/errors.ts";
import type { Schema } from "./schemas.ts";

type Validate = (data: unknown) => { readonly error?: Error; readonly value?: unknown };

const COMMON = {
  strict: false,
  discriminator: true,
  removeAdditional: false,
  useDefaults: false,
  code: { optimize: false },
} as const;

/** For fastify's `setValidatorCompiler`. */
export function validatorCompiler(): (part: { readonly schema: Schema; readonly httpPart?: string }) => Validate {
  const forQuery = new Ajv({ ...COMMON, coerceTypes: true });
  const forBody = new Ajv({ ...COMMON, coerceTypes: false });
  const compiled = new Map<string, ValidateFunction>(); // most queries are the same: none
  return ({ schema, httpPart }) => {
    const isQuery = httpPart === "querystring";
    const text = `${isQuery}${JSON.stringify(schema)}`;
    const validate = compiled.get(text) ?? (isQuery ? forQuery : forBody).compile(schema);
    compiled.set(text, validate);
    return (data) => {
      if (validate(data)) return { value: data };
      return { error: new KvError("BAD_REQUEST", words(validate.errors ?? [], isQuery ? "" : "body")) };
    };
  };
}

/** `operations/3/key: must NOT have fewer than 1 characters`. */
function words(errors: readonly ErrorObject[], whole: string): string {
  // Of several alternatives the last error only says that none fits; the ones before it say why.
  const [first] = errors;
  if (!first) return "malformed";
  const { instancePath, keyword, message, params } = first;
  const where = [whole, ...instancePath.split("/").slice(1)].filter((part) => part !== "").join("/");
  const name = (params as { additionalProperty?: unknown }).additionalProperty;
  if (keyword === "additionalProperties")
    return `${where === "" ? "query" : where}: does not know "${String(name).slice(0, 64)}"`;
  const allowed = (params as { allowedValues?: unknown[] }).allowedValues;
  const choice = allowed ? `: ${allowed.join(", ")}` : "";
  return `${where === "" ? "query" : where}: ${message ?? "malformed"}${choice}`;
}
