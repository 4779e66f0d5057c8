// Bodies: what comes in. JSON has to be UTF-8 and is never coerced; other types reach only the routes that take raw bytes, so elsewhere
// they are 415. A body in a content encoding is refused: it would be stored as it is and come back without saying so.
import type { FastifyInstance } from "fastify";
import { KvError } from "../../shared/errors.ts";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** UTF-8 text; undefined where the bytes are none. */
export function textOf(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined; // that they are no text is the answer
  }
}

/** JSON and nothing else. */
export function takeJson(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "buffer" }, (_request, body, done) => {
    try {
      done(null, jsonOf(body as Buffer));
    } catch (error) {
      done(error as KvError);
    }
  });
}

/** Anything that is not JSON, as bytes, up to `bytesMax`. */
export function takeBytes(app: FastifyInstance, bytesMax: number): void {
  app.addContentTypeParser("*", { parseAs: "buffer", bodyLimit: bytesMax }, (_request, body, done) => done(null, body));
}

/** @throws KvError BAD_REQUEST */
function jsonOf(body: Uint8Array): unknown {
  const text = textOf(body);
  if (text === undefined) throw new KvError("BAD_REQUEST", 'the body is not UTF-8; send other bytes as {"base64": …}');
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new KvError("BAD_REQUEST", `the body is not JSON: ${(error as Error).message}`);
  }
}

/** @throws KvError UNSUPPORTED_MEDIA_TYPE */
export function refuseEncoded(encoding: string | undefined): void {
  if (encoding === undefined || encoding.toLowerCase() === "identity") return;
  throw new KvError(
    "UNSUPPORTED_MEDIA_TYPE",
    `Content-Encoding: ${encoding.slice(0, 32)} is not taken; send the body as it is`,
  );
}
