// `runtime serve` and plain `runtime`: a coordinator in this process, without and with a shell on it.
import path from "node:path";
import { openLog } from "../../shared/io/log.ts";
import type { Flags } from "../flags.ts";
import { runShell } from "../shell/io/shell.ts";
import { logFileOf, shellOptions } from "./connect.ts";
import { Notices } from "./notices.ts";
import { decidedSoon, listeningLine, restLine, type Started, startCoordinator } from "./start.ts";

/** How long the shell of a coordinator waits for its first role before it opens all the same. */
const DECISION_MS_MAX = 1_500;

/** Serves until SIGTERM or SIGINT, logging to standard error. */
export async function serve(flags: Flags): Promise<number> {
  const log = openLog({ name: "runtime" });
  const started = await startCoordinator({ flags, log, tell: () => {} });
  const { server } = started;
  const stopped = stopOnSignals(started, () => log.info("stopping"));
  await Promise.race([server.decided, stopped]);
  for (const line of server.role === "waiting" ? started.lines() : []) log.warn(line);
  process.stdout.write(`${listeningLine(started)}\n`);
  await stopped;
  log.info("stopped");
  return 0;
}

/** A coordinator with a shell, which logs to a file beside the cluster file. */
export async function interactive(flags: Flags): Promise<number> {
  const log = openLog({ name: "runtime", file: logFileOf(path.dirname(flags.clusterFile), "coordinator") });
  const notices = new Notices();
  const started = await startCoordinator({ flags, log, tell: notices.tell });
  const { server } = started;
  void stopOnSignals(started, () => log.info("stopping")).then(() => process.exit(0));
  await decidedSoon(server, DECISION_MS_MAX);
  const status = await runShell({
    ...shellOptions(flags, [server.listening]),
    info: [...restLine(started), ...started.lines()],
    notices: notices.subscribe,
  });
  await started.stop();
  log.info("stopped");
  return status;
}

/** Resolves when a signal came and the coordinator has answered what was open. */
function stopOnSignals(started: Started, begin: () => void): Promise<void> {
  return new Promise((resolve) => {
    const stop = (): void => {
      begin();
      void started.stop().then(resolve);
    };
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.once(signal, stop);
  });
}
