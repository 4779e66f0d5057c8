// Running: how a second `runtime up`, and `runtime down`, find the one that runs in this directory. A socket beside the data: it answers
// only while the process lives, so there is no pid to be reused, and it works where every process is pid 1. Whoever connects gets one
// JSON line whenever the description changes; the line `stop` asks the process to end, which shows by the connection closing.
import { mkdirSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import path from "node:path";
import { createInterface } from "node:readline";

const SOCKET = "control.sock";

/** What runs. */
export interface Running {
  /** Of the coordinator; empty while it starts. */
  readonly address: string;
  readonly nodes: readonly { readonly id: string; readonly address: string }[];
}

const STARTING: Running = { address: "", nodes: [] };

/** Held by the process that runs. */
export class Place {
  readonly #server: Server;
  readonly #guests = new Set<Socket>();
  #running = STARTING;

  /** @param stop Called when somebody asks this process to end. Undefined where another process holds the place. */
  static async take(directory: string, stop: () => void): Promise<Place | undefined> {
    mkdirSync(directory, { recursive: true });
    const file = path.join(directory, SOCKET);
    const taken = await listen(file);
    if (taken) return new Place(taken, stop);
    if (await reach(directory)) return undefined;
    rmSync(file, { force: true }); // of a process that was killed
    const second = await listen(file);
    return second && new Place(second, stop);
  }

  private constructor(server: Server, stop: () => void) {
    this.#server = server;
    server.unref();
    server.on("connection", (socket) => {
      this.#guests.add(socket);
      socket.on("close", () => this.#guests.delete(socket)).on("error", () => {});
      createInterface({ input: socket }).on("line", (line) => line === "stop" && stop());
      socket.write(`${JSON.stringify(this.#running)}\n`);
      socket.unref();
    });
  }

  describe(running: Running): void {
    this.#running = running;
    for (const guest of this.#guests) guest.write(`${JSON.stringify(running)}\n`);
  }

  /** Last of all: from then on another process may begin. */
  release(): void {
    this.#server.close();
    for (const guest of this.#guests) guest.destroy();
  }
}

/** The process that runs in a directory, as soon as it is ready; undefined where none does, or it ends before. */
export async function findRunning(directory: string): Promise<Running | undefined> {
  const socket = await reach(directory);
  if (!socket) return undefined;
  for await (const running of descriptions(socket)) if (running.address !== "") return running;
  return undefined;
}

/** Asks the process that runs in a directory to end. Resolves when it has, with what it was; undefined where none runs. */
export async function stopRunning(directory: string): Promise<Running | undefined> {
  const socket = await reach(directory);
  if (!socket) return undefined;
  socket.write("stop\n");
  let last = STARTING;
  for await (const running of descriptions(socket)) last = running;
  return last;
}

/** What a process says of itself, until the connection closes. */
async function* descriptions(socket: Socket): AsyncGenerator<Running> {
  try {
    for await (const line of createInterface({ input: socket })) yield JSON.parse(line) as Running;
  } finally {
    socket.destroy();
  }
}

/** A connection to the process that holds the place. */
function reach(directory: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path.join(directory, SOCKET));
    socket.once("connect", () => resolve(socket));
    socket.on("error", () => resolve(undefined)); // nobody there, or gone meanwhile
  });
}

/** Undefined where the name is taken, by a living process or a dead one. */
function listen(file: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) =>
      error.code === "EADDRINUSE" ? resolve(undefined) : reject(error),
    );
    server.listen(file, () => resolve(server));
  });
}
