// Flags, files and tokens: what a process refuses to start with, and what it makes of the rest.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checkBind, isLoopback, loadSecurity, OPEN } from "../../../shared/io/security.ts";
import { KeyRing, parseTokens } from "../../../shared/io/tokens.ts";
import { Authority, type CertificateFiles } from "../../support/certificates.ts";

const TOKEN = "0123456789abcdef0123456789abcdef";
const OLD = "fedcba9876543210fedcba9876543210";
const READER = "reader-reader-reader";

let folder = "";
let authority: Authority;
let files: CertificateFiles;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "holdfast-security-"));
  authority = new Authority();
  files = authority.issue();
});
afterAll(() => {
  authority[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
});

function file(name: string, text: string): string {
  const where = path.join(folder, name);
  writeFileSync(where, text);
  return where;
}

const tls = (): { tlsCa: string; tlsCert: string; tlsKey: string } => {
  return { tlsCa: files.ca, tlsCert: files.cert, tlsKey: files.key };
};

describe("tokens", () => {
  test("a file holds one a line; the first is presented, each opens until it is taken out", () => {
    const both = loadSecurity({ tokenFile: file("both", `# since May\n${TOKEN}\n\n  ${OLD}\r\n`) }, {});
    expect(both.credentials.token).toBe(TOKEN);
    expect([TOKEN, OLD, READER].map((token) => both.keys?.roleOf(token))).toEqual(["admin", "admin", undefined]);
    const one = loadSecurity({ tokenFile: file("one", TOKEN) }, {});
    expect([TOKEN, OLD].map((token) => one.keys?.roleOf(token))).toEqual(["admin", undefined]);
  });

  test("the environment has one too; a file wins", () => {
    expect(loadSecurity({}, { HOLDFAST_TOKEN: TOKEN }).credentials.token).toBe(TOKEN);
    expect(loadSecurity({ tokenFile: file("wins", OLD) }, { HOLDFAST_TOKEN: TOKEN }).credentials.token).toBe(OLD);
    expect(loadSecurity({}, { HOLDFAST_TOKEN: "" }).keys).toBeUndefined();
  });

  test("a reader's token has its own file, which means nothing alone", () => {
    const readTokenFile = file("readers", READER);
    const { keys } = loadSecurity({ tokenFile: file("admins", TOKEN), readTokenFile }, {});
    expect(keys?.roleOf(READER)).toBe("read");
    expect(() => loadSecurity({ readTokenFile }, {})).toThrow(/without --token-file/);
  });

  test.each([
    ["nothing", ""],
    ["only remarks", "# none\n"],
    ["a short one", "secret"],
    ["one with a space", "one two three four five six"],
    ["one that is not ASCII", "geheimnisgeheimnisgehéim"],
  ])("%s is refused, and the refusal shows the file's name but never what it holds", (_name, text) => {
    const refusal = refusalOf(() => parseTokens(text, "the file"));
    expect(refusal).toMatch(/^the file holds .*openssl rand/);
    for (const word of text.split(/\s+/).filter((each) => each.length > 4)) expect(refusal).not.toContain(word);
  });

  test("whatever is no text has no role", () => {
    const keys = new KeyRing({ admin: [TOKEN], read: [] });
    for (const presented of [undefined, null, 0, true, [TOKEN], { 0: TOKEN }, ""]) {
      expect(keys.roleOf(presented)).toBeUndefined();
    }
  });
});

describe("TLS", () => {
  test("three files belong together", () => {
    expect(loadSecurity(tls(), {}).credentials.tls?.cert).toContain("BEGIN CERTIFICATE");
    expect(() => loadSecurity({ tlsCert: files.cert, tlsKey: files.key }, {})).toThrow(/belong together/);
  });

  test("a key of another certificate, a file that is none and one that is missing are found at the start", () => {
    const other = authority.issue();
    expect(() => loadSecurity({ ...tls(), tlsKey: other.key }, {})).toThrow(/make no TLS/);
    expect(() => loadSecurity({ ...tls(), tlsCert: file("text", "hello") }, {})).toThrow(/make no TLS/);
    expect(() => loadSecurity({ ...tls(), tlsCa: path.join(folder, "missing") }, {})).toThrow(/ENOENT/);
  });
});

describe("listening beyond this machine", () => {
  test.each(["127.0.0.1", "127.8.7.6", "::1", "localhost"])("%s is this machine: anybody may", (host) => {
    expect(isLoopback(host)).toBe(true);
    expect(() => checkBind(host, OPEN)).not.toThrow();
  });

  test.each(["0.0.0.0", "::", "192.0.2.1", "::ffff:192.0.2.1", "db1.example", "localhost.example", ""])(
    "%s needs a token and TLS, or --insecure",
    (host) => {
      const tokenFile = file("bind", TOKEN);
      expect(() => checkBind(host, OPEN)).toThrow(/a token .* and TLS .*--insecure/);
      expect(() => checkBind(host, loadSecurity({ tokenFile }, {}))).toThrow(/needs TLS/);
      expect(() => checkBind(host, loadSecurity(tls(), {}))).toThrow(/needs a token/);
      checkBind(host, loadSecurity({ tokenFile, ...tls() }, {}));
      checkBind(host, loadSecurity({ insecure: true }, {}));
    },
  );
});

function refusalOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error("it was not refused");
}
