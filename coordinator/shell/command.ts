// A command is a row of a table: name, arguments, options, help, and a function that asks the coordinator and words the answer.
// The function gets everything it may touch as an argument, so commands run against a scripted session in tests; readline,
// sockets and files are behind ShellContext (io/).
import type {
  CoordinatorRequest,
  GetAnswer,
  Level,
  MetricsAnswer,
  OpsAnswer,
  PlanAnswer,
  ProgressAnswer,
  RingAnswer,
  ScanAnswer,
  StatsAnswer,
  StatusAnswer,
  TopologyChange,
  WhereAnswer,
  WriteAnswer,
} from "../../shared/protocol/client-messages.ts";
import type { RepairAnswer } from "../../shared/protocol/repair-messages.ts";
import type { StepdownAnswer } from "../../shared/protocol/coordinator-messages.ts";
import type { WireValue } from "../../shared/record.ts";
import type { ExitStatus } from "./failure.ts";
import type { Style } from "./style.ts";

/** What kind of thing an argument is: decides how it is checked and what Tab offers. */
export type ArgumentKind =
  | "key"
  | "value"
  | "prefix"
  | "node"
  | "level"
  | "copies"
  | "address"
  | "target"
  | "file"
  | "operation"
  | "command"
  | "change";

export interface ArgumentSpec {
  readonly name: string;
  readonly kind: ArgumentKind;
  readonly optional?: boolean;
}

export interface OptionSpec {
  /** Without the dashes. */
  readonly name: string;
  /** Name of its value in the usage line; absent: a switch. */
  readonly value?: string;
  readonly help: string;
}

/** Arguments by name, options by name (a switch is ""), and what follows a `change` argument as it was typed. */
export interface Arguments {
  readonly words: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
  /** The command behind `plan`. */
  readonly nested?: { readonly command: CommandSpec; readonly args: Arguments };
}

/** What a command says: lines for people, one document for `--json`. */
export interface Reply {
  readonly lines: readonly string[];
  readonly json: object;
  /** 0 where left out. */
  readonly status?: ExitStatus;
}

export type CommandGroup = "data" | "cluster" | "looking" | "shell";

export interface CommandSpec {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly group: CommandGroup;
  readonly args: readonly ArgumentSpec[];
  readonly options?: readonly OptionSpec[];
  /** One line. */
  readonly help: string;
  /** Further lines for `help <command>`. */
  readonly details?: readonly string[];
  readonly examples: readonly string[];
  /** Whether it may change something: then an answer that never came leaves the outcome unknown. */
  readonly writes?: boolean;
  /** What shows the outcome where it is unknown: `get apple`. */
  readonly lookWith?: (args: Arguments) => string;
  readonly run: (context: ShellContext, args: Arguments) => Promise<Reply>;
  /** For commands that `plan` can try: the change they ask for. */
  readonly change?: (context: ShellContext, args: Arguments) => TopologyChange;
}

/** Answers by request. `nodes` and `show` are read off `status`. */
export interface Answers {
  readonly put: WriteAnswer;
  readonly delete: WriteAnswer;
  readonly get: GetAnswer;
  readonly scan: ScanAnswer;
  readonly where: WhereAnswer;
  readonly status: StatusAnswer;
  readonly ring: RingAnswer;
  readonly stats: StatsAnswer;
  readonly metrics: MetricsAnswer;
  readonly ops: OpsAnswer;
  readonly plan: PlanAnswer;
  readonly repair: RepairAnswer;
  readonly stepdown: StepdownAnswer;
  readonly cancel: { readonly id: number; readonly status: "ok" };
}

type WithoutId<Request> = Request extends { readonly id: number } ? Omit<Request, "id"> : never;
/** A request as a command writes it: the session numbers it. */
export type Message<Op extends keyof Answers> =
  WithoutId<Extract<CoordinatorRequest, { readonly op: Op }>> extends never
    ? { readonly op: Op }
    : WithoutId<Extract<CoordinatorRequest, { readonly op: Op }>>;

/** How a topology operation ended for the one who watched: over, or left to go on without us. */
export type Followed =
  | { readonly ended: true; readonly answer: ProgressAnswer }
  | { readonly ended: false; readonly operation: string };

/** How a topology operation is watched. */
export interface FollowOptions {
  /** Lines to print once the coordinator has begun. */
  readonly started: readonly string[];
}

export interface LogTail {
  readonly path: string;
  /** Last lines, oldest first. */
  readonly lines: readonly string[];
}

/** A file under way: `finish` gives it its name, `abandon` leaves nothing of it. */
export interface FileUnderWay {
  readonly write: (text: string) => Promise<void>;
  readonly finish: () => Promise<void>;
  readonly abandon: () => Promise<void>;
}

export interface ShellFiles {
  /** @throws UsageError where it exists and is not to be replaced, or cannot be written */
  readonly create: (file: string, options: { readonly replace: boolean }) => Promise<FileUnderWay>;
  /** @throws UsageError, while it is read, where it cannot be */
  readonly lines: (file: string) => AsyncIterable<string>;
}

/** Where reads go: the coordinator, or straight to one node. */
export interface Connection {
  readonly kind: "leader" | "coordinator" | "node";
  /** Node id, or the address of a coordinator. */
  readonly name: string;
  readonly address: string;
}

/** Everything a command may touch. */
export interface ShellContext {
  readonly commands: readonly CommandSpec[];
  readonly style: Style;
  /** Width of the terminal, at least 40. */
  readonly columns: number;
  /** Whether the answer is wanted as one JSON document. */
  readonly json: boolean;
  /** Whether a person types the commands. */
  readonly interactive: boolean;
  /** The session's default level. */
  readonly level: Level;
  readonly connection: Connection;
  readonly valueBytesMax: number;
  /** Whether the user has turned away from this command. */
  readonly over: boolean;
  readonly files: ShellFiles;
  /** Says how far a long command is, now and then; nothing under `--json`. */
  progress(text: string): void;
  setLevel(level: Level): void;
  call<Op extends keyof Answers>(message: Message<Op>): Promise<Answers[Op]>;
  /** Sends a topology change and shows its progress until it ends or the user turns away. */
  follow(change: TopologyChange, options: FollowOptions): Promise<Followed>;
  /** Reads straight from the node that the shell is switched to; null where it holds no value. */
  readNode(key: string): Promise<{ readonly value: WireValue; readonly version: string } | null>;
  /** Talks to another coordinator, or reads from one node; without a target, back to the leader. */
  switchTo(target: string | undefined): Promise<Connection>;
  /** `host:port` of an address as typed. Throws UsageError. */
  address(text: string): string;
  /** Undefined where this process knows no log of that id. @param lines At most so many, from the end. */
  logs(id: string | undefined, lines: number): Promise<LogTail | undefined>;
  /** Prints at once, ahead of the reply; nothing under `--json`. */
  print(lines: readonly string[]): void;
  clear(): void;
  /** Ends the shell after this command. */
  exit(): void;
}
