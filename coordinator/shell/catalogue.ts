// The command table, in the order in which help shows it. A further command is one more row here.
import { ADDNODE, CANCEL, OPS, PLAN, RECOVER, REMOVENODE, REPAIR, SETREPLICA, STEPDOWN } from "./commands-cluster.ts";
import { DEL, GET, PUT, SCAN, WHERE } from "./commands-data.ts";
import { EXPORT, IMPORT } from "./commands-files.ts";
import { CLEAR, CONSISTENCY, EXIT, HELP, LOGS, SWITCH } from "./commands-shell.ts";
import { METRICS, NODES, RING, SHOW, STATS, STATUS } from "./commands-view.ts";
import type { CommandSpec } from "./command.ts";

export const COMMANDS: readonly CommandSpec[] = [
  PUT,
  GET,
  DEL,
  SCAN,
  EXPORT,
  IMPORT,
  ADDNODE,
  REMOVENODE,
  SETREPLICA,
  PLAN,
  REPAIR,
  STEPDOWN,
  RECOVER,
  OPS,
  CANCEL,
  SHOW,
  STATS,
  STATUS,
  NODES,
  RING,
  WHERE,
  METRICS,
  LOGS,
  CONSISTENCY,
  SWITCH,
  HELP,
  CLEAR,
  EXIT,
];
