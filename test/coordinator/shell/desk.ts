// Runs shell lines against a fake cluster and keeps what was printed.
import { PassThrough, Writable } from "node:stream";
import { runOneShot, runShell } from "../../../coordinator/shell/io/shell.ts";
import type { ShellOptions } from "../../../coordinator/shell/io/shell.ts";
import { FakeCluster } from "./fake-cluster.ts";

export interface Printed {
  readonly status: number;
  readonly output: string;
  readonly errors: string;
}

/** A stream that keeps its text. */
export class TextSink extends Writable {
  text = "";

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

export interface DeskOptions extends Partial<ShellOptions> {
  readonly cluster?: FakeCluster;
}

/** Runs the lines as a script. */
export async function runLines(lines: readonly string[], options: DeskOptions = {}): Promise<Printed> {
  const input = new PassThrough();
  input.end(lines.map((line) => `${line}\n`).join(""));
  return await withSinks(options, input, async (shell) => await runShell(shell));
}

/** Runs one command, its words as a login shell hands them over. */
export async function runWords(words: readonly string[], options: DeskOptions = {}): Promise<Printed> {
  return await withSinks(options, new PassThrough(), async (shell) => await runOneShot(words, shell));
}

async function withSinks(
  options: DeskOptions,
  input: PassThrough,
  run: (shell: ShellOptions) => Promise<number>,
): Promise<Printed> {
  const { cluster = new FakeCluster(), ...rest } = options;
  const output = new TextSink();
  const errorOutput = new TextSink();
  const status = await run({
    connect: (address) => Promise.resolve(cluster.session(address)),
    input,
    output,
    errorOutput,
    isTerminal: false,
    color: false,
    ...rest,
  });
  return { status, output: output.text, errors: errorOutput.text };
}
