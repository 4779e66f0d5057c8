// What a process asked of the system, from the output of `strace -f -yy -s <large>`: reads, writes, syncs and opened files,
// each with the moment when it began and when it was over (the line of the trace). Calls of several threads interleave:
// strace then writes the two ends of a call apart, and they are joined here.

/** What to run a command under. @param file Takes the trace. */
export function straceInto(file: string): string[] {
  const calls = "openat,read,recvfrom,recvmsg,write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,fdatasync,fsync";
  // -D: the command stays our child, and signals reach it.
  return ["strace", "-D", "-f", "-yy", "-s", "1000000", "-e", `trace=${calls}`, "-o", file];
}

export interface SystemCall {
  readonly name: string;
  /** File or socket it was done on, as `-yy` prints it; for `openat` the file that was opened. */
  readonly on: string;
  /** Its descriptor, which outlives a renaming of the file. */
  readonly descriptor: number;
  /** Flags and the like: everything that is not data. */
  readonly text: string;
  /** Data read or written; bytes that are not ASCII stay escaped. */
  readonly data: string;
  /** Lines of the trace. */
  readonly beganAt: number;
  readonly endedAt: number;
}

/** The calls that succeeded, in the order in which they ended. */
export function parseTrace(trace: string): SystemCall[] {
  const calls: SystemCall[] = [];
  const open = new Map<string, { readonly text: string; readonly beganAt: number }>();
  trace.split("\n").forEach((line, at) => {
    const [, thread = "", text = ""] = /^(\d+)\s+(.*)$/.exec(line) ?? [];
    const cut = text.indexOf(" <unfinished ...>");
    if (cut >= 0) return void open.set(thread, { text: text.slice(0, cut), beganAt: at });
    const resumed = /^<\.\.\. \w+ resumed>/.exec(text);
    const begun = resumed ? open.get(thread) : undefined;
    if (resumed) open.delete(thread);
    if (resumed && !begun) return;
    const whole = begun ? begun.text + text.slice(resumed?.[0].length) : text;
    const call = parseCall(whole, { beganAt: begun?.beganAt ?? at, endedAt: at });
    if (call) calls.push(call);
  });
  return calls;
}

const QUOTED = /"((?:[^"\\]|\\.)*)"/g;

function parseCall(text: string, times: Pick<SystemCall, "beganAt" | "endedAt">): SystemCall | undefined {
  const strings = [...text.matchAll(QUOTED)].map(([, quoted = ""]) => quoted);
  const bare = text.replaceAll(QUOTED, '""');
  const [, name = "", given = "", subject = ""] = /^(\w+)\((?:(\d+)<(.*?)>[,)])?/.exec(bare) ?? [];
  const [, result, opened = ""] = /\)\s+=\s+(-?\d+)(?:<(.*)>)?/.exec(bare) ?? [];
  if (name === "" || result === undefined || Number(result) < 0) return undefined;
  const [on, descriptor] = name === "openat" ? [opened, result] : [subject, given];
  const data = strings.join("").replaceAll('\\"', '"').replaceAll("\\n", "\n").replaceAll("\\\\", "\\");
  return { name, on, descriptor: Number(descriptor), text: bare, data, ...times };
}
