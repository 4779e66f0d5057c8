// Certificates for tests, made by openssl in a temporary directory: an authority, and what it signs for this machine's loopback addresses.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import type { TlsMaterial } from "../../shared/io/sockets.ts";

const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
const LOOPBACK = "subjectAltName=IP:127.0.0.1,DNS:localhost";

/** Files of one end: certificate, key, and the authority it trusts. */
export interface CertificateFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export class Authority implements Disposable {
  readonly #folder = mkdtempSync(path.join(os.tmpdir(), "holdfast-certificates-"));
  #count = 0;

  constructor() {
    const extensions = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=keyCertSign"];
    openssl(["req", "-x509", ...KEY, "-subj", "/CN=authority", ...extensions, ...this.#out("ca")]);
  }

  /** @param subjectAltName Whom the certificate names, as openssl writes it. Default: this machine. */
  issue(subjectAltName = LOOPBACK): CertificateFiles {
    const name = `end-${++this.#count}`;
    const signed = ["-CA", this.#file("ca.pem"), "-CAkey", this.#file("ca.key")];
    const extensions = ["-addext", "basicConstraints=critical,CA:FALSE", "-addext", subjectAltName];
    openssl(["req", "-x509", ...KEY, "-subj", `/CN=${name}`, ...signed, ...extensions, ...this.#out(name)]);
    return { ca: this.#file("ca.pem"), cert: this.#file(`${name}.pem`), key: this.#file(`${name}.key`) };
  }

  /** As `issue`, read. */
  material(subjectAltName?: string): TlsMaterial {
    return materialOf(this.issue(subjectAltName));
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #file(name: string): string {
    return path.join(this.#folder, name);
  }

  #out(name: string): string[] {
    return ["-keyout", this.#file(`${name}.key`), "-out", this.#file(`${name}.pem`)];
  }
}

export function materialOf({ ca, cert, key }: CertificateFiles): TlsMaterial {
  return { ca: readFileSync(ca, "utf8"), cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") };
}

function openssl(args: readonly string[]): void {
  execFileSync("openssl", args, { stdio: ["ignore", "ignore", "pipe"] });
}
