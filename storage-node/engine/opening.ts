// Opening of a data directory: the format file, the table, and what the log holds beyond it. What a start that was interrupted left
// undone is done here; what is not ours, or damaged, is refused before anything is written.
import { join } from "node:path";
import { type DirectoryLock, lockDirectory } from "../../shared/io/directory-lock.ts";
import { ZERO } from "../../shared/version.ts";
import { Ceilings } from "./ceilings.ts";
import { blankControlState, slotState, takeEffect } from "./control-state.ts";
import type { ControlState, EngineEvents } from "./engine.ts";
import { ENGINE_LIMITS } from "./engine-limits.ts";
import type { EngineLimits } from "./engine-limits.ts";
import { realFiles } from "./file-layer.ts";
import type { FileLayer } from "./file-layer.ts";
import { checkUnused, DATA_FORMAT, DataDirectoryError, newFormat, readFormat, writeFormat } from "./format.ts";
import type { DataFormat } from "./format.ts";
import { Keyspace } from "./keyspace.ts";
import { recover } from "./recovery.ts";
import type { Recovered } from "./recovery.ts";
import type { SlotAccount } from "./slot-account.ts";
import { isTable, removals, Table } from "./table.ts";
import type { TableMeta } from "./table-format.ts";

export interface DiskEngineOptions {
  /** Made where missing. */
  readonly directory: string;
  readonly events: EngineEvents;
  /** Messages for the operator: damage cut at opening, space. */
  readonly log?: (message: string) => void;
  /** Name and version of the program, for the format file. */
  readonly program?: string;
  /** Smaller bounds for tests. */
  readonly limits?: Partial<EngineLimits>;
  /** File operations of the log, for tests that fail them. */
  readonly files?: FileLayer;
  /** For tests: called after every durable transaction of the table, before anything relies on it. */
  readonly tableCommitted?: () => Promise<void>;
}

/** What an opened directory is made of, before the log takes records. */
export interface EngineParts {
  readonly lock: DirectoryLock;
  readonly table: Table;
  readonly accounts: SlotAccount[];
  readonly ceilings: Ceilings;
  readonly keyspace: Keyspace;
  readonly control: ControlState;
  readonly recovered: Recovered;
  readonly limits: EngineLimits;
  readonly files: FileLayer;
}

/**
 * Opens a data directory, or makes one, and replays its log.
 * @throws DirectoryInUseError, DataDirectoryError (newer format, foreign contents), DamagedLogError, or an error of the system.
 */
export async function openParts(options: DiskEngineOptions): Promise<EngineParts> {
  const files = options.files ?? realFiles;
  const limits = { ...ENGINE_LIMITS, ...options.limits };
  await files.makeDirectory(options.directory);
  const lock = await lockDirectory(options.directory);
  let table: Table | undefined;
  try {
    const format = await readFormat(files, options.directory);
    if (!format) await checkUnused(files, options.directory);
    table = await openTable(options.directory, limits);
    const meta = table.meta() ?? (await firstMeta(table, { options, format }));
    if (!(await readFormat(files, options.directory))) await finishDirectory(files, options, meta);
    return await replay({ lock, table, meta, limits, files, options });
  } catch (error) {
    await table?.close();
    await lock.release();
    throw error;
  }
}

/** LMDB ends the process, not the call, on a file that is not its own: that is looked at first. */
async function openTable(directory: string, limits: EngineLimits): Promise<Table> {
  const place = join(directory, "table");
  const advice = "start with an empty directory; the other copies restore it";
  if (!(await isTable(place))) throw new DataDirectoryError(`the table in ${directory} is damaged: ${advice}`);
  try {
    return Table.open(place, limits);
  } catch (error) {
    throw new DataDirectoryError(`the table in ${directory} cannot be opened (${(error as Error).message}): ${advice}`);
  }
}

/** The first transaction of a table. Where the format file exists, the table must hold its state already. */
async function firstMeta(
  table: Table,
  { options, format }: { options: DiskEngineOptions; format: DataFormat | undefined },
): Promise<TableMeta> {
  const { directory } = options;
  if (format) {
    throw new DataDirectoryError(
      `the table in ${directory} is missing or empty, though the directory was in use: start with an empty directory; the other copies restore it`,
    );
  }
  const made = newFormat();
  const control = blankControlState(made.incarnation);
  const meta: TableMeta = { control, applied: 0, batch: 0, position: 0, newest: ZERO };
  await table.commit({ changes: removals([]), accounts: [], meta });
  await options.tableCommitted?.();
  return meta;
}

/** Writes the format file last, also where a first start was interrupted before it. */
async function finishDirectory(files: FileLayer, options: DiskEngineOptions, meta: TableMeta): Promise<void> {
  const format = { format: DATA_FORMAT, incarnation: meta.control.identity.incarnation };
  await writeFormat(files, { directory: options.directory, format, program: options.program ?? "holdfast" });
}

interface ReplayInput {
  readonly lock: DirectoryLock;
  readonly table: Table;
  readonly meta: TableMeta;
  readonly limits: EngineLimits;
  readonly files: FileLayer;
  readonly options: DiskEngineOptions;
}

async function replay({ lock, table, meta, limits, files, options }: ReplayInput): Promise<EngineParts> {
  const { control } = meta;
  const accounts = table.accounts();
  // What a node stores is never of an epoch above its fence (N2).
  const ceilings = new Ceilings(meta.newest ?? [control.fence, Number.MAX_SAFE_INTEGER]);
  const keyspace = new Keyspace(table, {
    accounts: accounts.map((account) => ({ ...account })),
    purged: (slot) => slotState(control, slot).purged,
    ceilings,
  });
  const recovered = await recover({
    files,
    directory: options.directory,
    from: meta,
    sink: {
      write: (slot, key, body) => keyspace.write(slot, key, body),
      control: (record) => takeEffect(keyspace, control, record),
    },
    log: options.log ?? ((): void => undefined),
    now: () => performance.now(),
  });
  return { lock, table, accounts, ceilings, keyspace, control, recovered, limits, files };
}
