// One process per directory (rule 8; a coordinator's voter record). The lock is a socket that the process listens on, so that it ends with the process:
// no pid to be reused, and it is seen from other containers that share the directory. Two sockets are held: one in the
// directory, and on Linux one in the abstract name space, whose binding is atomic, so that two processes of one network
// name space cannot both replace the dead socket of a third.
import { constants } from "node:fs";
import { open, rm, stat } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { connect, createServer } from "node:net";
import type { Server } from "node:net";
import { join } from "node:path";

export const LOCK_FILE = "lock.sock";
const CONNECT_TIMEOUT_MS = 1000;
/** What a socket address holds, with the final zero; shorter on some systems. */
const SOCKET_PATH_BYTES_MAX = 100;

/** Another process has the directory open. */
export class DirectoryInUseError extends Error {}

export interface DirectoryLock {
  release(): Promise<void>;
}

/** @throws DirectoryInUseError naming the directory. */
export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  const abstract = process.platform === "linux" ? await lockAbstract(directory) : undefined;
  const address = await socketAddress(directory);
  try {
    const server = await lockSocket(directory, address.path);
    return {
      async release() {
        await closeServer(server);
        await address.handle?.close();
        if (abstract) await closeServer(abstract);
      },
    };
  } catch (error) {
    await address.handle?.close();
    if (abstract) await closeServer(abstract);
    throw error;
  }
}

async function lockAbstract(directory: string): Promise<Server> {
  const { dev, ino } = await stat(directory);
  try {
    return await listen(`\0holdfast-${dev}-${ino}`);
  } catch (error) {
    throw systemCode(error) === "EADDRINUSE" ? inUse(directory) : error;
  }
}

async function lockSocket(directory: string, path: string): Promise<Server> {
  try {
    return await listen(path);
  } catch (error) {
    if (systemCode(error) !== "EADDRINUSE") throw error;
  }
  if (await answers(path)) throw inUse(directory);
  await rm(path, { force: true });
  try {
    return await listen(path);
  } catch (error) {
    throw systemCode(error) === "EADDRINUSE" ? inUse(directory) : error;
  }
}

/** A path short enough for a socket: on Linux a long one is reached through an open descriptor of the directory. */
async function socketAddress(directory: string): Promise<{ path: string; handle?: FileHandle }> {
  const path = join(directory, LOCK_FILE);
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX) return { path };
  if (process.platform !== "linux") {
    throw new Error(
      `the data directory's path is too long (${directory}): at most ${SOCKET_PATH_BYTES_MAX - LOCK_FILE.length - 1} bytes`,
    );
  }
  const handle = await open(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  return { path: `/proc/self/fd/${handle.fd}/${LOCK_FILE}`, handle };
}

function inUse(directory: string): DirectoryInUseError {
  return new DirectoryInUseError(
    `another process uses the data directory ${directory}: stop it first, or give this node a directory of its own`,
  );
}

function listen(path: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", reject);
    server.listen(path, () => {
      server.off("error", reject);
      server.unref();
      resolve(server);
    });
  });
}

/** Whether a process listens on a socket. A stopped one still does. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const settle = (alive: boolean): void => {
      socket.destroy();
      resolve(alive);
    };
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => settle(true));
    socket.once("connect", () => settle(true));
    socket.once("error", (error) => settle(!["ECONNREFUSED", "ENOENT"].includes(systemCode(error) ?? "")));
  });
}

function systemCode(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | null)?.code;
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
