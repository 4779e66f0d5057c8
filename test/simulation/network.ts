// Network: connections between simulated processes, as TCP gives them. Each direction keeps its order; every message has a delay of its
// own. A connection that breaks has delivered some prefix of what was on its way, and that prefix may arrive *very late*: long after the
// sender has forgotten it and a new connection carries newer messages. A partition holds back one direction between two processes.
import type { Timers } from "../../shared/timers.ts";
import type { Process } from "./process.ts";
import { chance, type Random } from "./random.ts";
import { wireCopy } from "./wire-copy.ts";

export type Message = Readonly<Record<string, unknown>>;

/** What may go wrong; all of it off at first. */
export interface NetworkFaults {
  /** Usual delay of a message: 0.1 ms up to this. */
  delayMsMax: number;
  /** Chance that a message breaks its connection. */
  breakage: number;
  /** Chance that what was on its way on a broken connection arrives very late. */
  lateness: number;
  lateMsMax: number;
  /** The same for what clients have sent. */
  clientLateMsMax: number;
}

/** A message on its way, for tests that strike at one of them. */
export interface Passing {
  readonly from: string;
  readonly to: string;
  readonly message: Message;
  readonly connection: Connection;
}

/** A side of a connection: called in its own process. */
export interface Side {
  up?(connection: Connection): void;
  line(connection: Connection, message: Message): void;
  down(connection: Connection): void;
}

interface Flight {
  readonly message: Message;
  cancelled: boolean;
}

interface End {
  readonly process: Process;
  readonly life: number;
  readonly side: Side;
  /** Messages on their way to this end. */
  flights: Flight[];
  /** When the latest of them arrives. */
  busyUntil: number;
  closed: boolean;
}

export class Connection {
  readonly id: number;
  readonly #network: Network;
  readonly client: End;
  readonly server: End;
  #broken = false;

  constructor(id: number, network: Network, client: End, server: End) {
    this.id = id;
    this.#network = network;
    this.client = client;
    this.server = server;
  }

  get open(): boolean {
    return !this.#broken;
  }

  /** Sends from the end that this process is. */
  send(from: Process, message: object): void {
    if (this.#broken) return;
    const [sender, receiver] = from === this.client.process ? [this.client, this.server] : [this.server, this.client];
    this.#network.transmit(this, sender, receiver, wireCopy(message) as Message);
  }

  /** Breaks: each side hears of it, after the prefix that still arrives. */
  break(): void {
    if (this.#broken) return;
    this.#broken = true;
    this.#network.broken(this);
  }
}

export class Network {
  readonly faults: NetworkFaults = {
    delayMsMax: 2,
    breakage: 0,
    lateness: 0,
    lateMsMax: 20_000,
    clientLateMsMax: 20_000,
  };
  readonly #timers: Timers;
  readonly #random: Random;
  readonly #ports = new Map<string, { readonly process: Process; readonly side: Side }>();
  readonly #connections = new Set<Connection>();
  /** Directions held back: "from>to". */
  readonly #blocked = new Set<string>();
  #held: { readonly direction: string; readonly resume: () => void }[] = [];
  #ids = 0;
  messages = 0;
  /** Sees every message as it is sent; `lost` is not delivered, a number is a delay in ms beside the usual one. */
  intercept: ((passing: Passing) => "lost" | number | undefined) | undefined;

  constructor(timers: Timers, random: Random) {
    this.#timers = timers;
    this.#random = random;
  }

  listen(process: Process, side: Side): void {
    this.#ports.set(process.name, { process, side });
  }

  /** Connects; `side.up` or `side.down` follows. */
  connect(from: Process, address: string, side: Side): void {
    from.after(this.#delay(), () => {
      const port = this.#ports.get(address);
      const blocked = this.#isBlocked(from.name, address) || this.#isBlocked(address, from.name);
      if (!port?.process.up || blocked) {
        const refused = new Connection(0, this, end(from, side), end(from, side));
        return from.after(blocked ? 1_000 : this.#delay(), () => side.down(refused));
      }
      const connection = new Connection(++this.#ids, this, end(from, side), end(port.process, port.side));
      this.#connections.add(connection);
      side.up?.(connection);
    });
  }

  /** All connections of a process that has died or is cut off. */
  breakAll(process: Process): void {
    for (const connection of this.#connections) {
      if (connection.client.process === process || connection.server.process === process) connection.break();
    }
  }

  /** The connections of a process that stand. */
  connectionsOf(name: string): Connection[] {
    return [...this.#connections].filter(
      ({ client, server }) => client.process.name === name || server.process.name === name,
    );
  }

  block(from: string, to: string): void {
    this.#blocked.add(`${from}>${to}`);
  }

  /** Ends all partitions; what was held back goes on. */
  heal(): void {
    this.#blocked.clear();
    const held = this.#held;
    this.#held = [];
    for (const { resume } of held) resume();
  }

  #isBlocked(from: string, to: string): boolean {
    return this.#blocked.size > 0 && this.#blocked.has(`${from}>${to}`);
  }

  #delay(): number {
    return 0.1 + this.#random() * this.faults.delayMsMax;
  }

  transmit(connection: Connection, sender: End, receiver: End, message: Message): void {
    this.messages++;
    if (this.faults.breakage > 0 && chance(this.#random, this.faults.breakage)) {
      this.#timers.after(this.#random() * this.faults.delayMsMax, () => connection.break());
    }
    const fate = this.intercept?.({ from: sender.process.name, to: receiver.process.name, message, connection });
    if (fate === "lost") return;
    const flight: Flight = { message, cancelled: false };
    if (fate !== undefined) {
      // Overtaken by what follows, as if it had come in on a connection of its own that broke.
      this.#timers.after(fate, () => this.#arrive(connection, sender, { ...receiver, closed: false }, flight));
      return;
    }
    receiver.flights.push(flight);
    receiver.busyUntil = Math.max(receiver.busyUntil, this.#timers.now + this.#delay());
    this.#timers.after(receiver.busyUntil - this.#timers.now, () => this.#arrive(connection, sender, receiver, flight));
  }

  #arrive(connection: Connection, sender: End, receiver: End, flight: Flight): void {
    if (flight.cancelled) return;
    const direction = `${sender.process.name}>${receiver.process.name}`;
    if (this.#blocked.has(direction)) {
      this.#held.push({ direction, resume: () => this.#arrive(connection, sender, receiver, flight) });
      return;
    }
    receiver.flights = receiver.flights.filter((other) => other !== flight);
    if (receiver.closed) return;
    receiver.process.inLife(receiver.life, () => {
      if (!receiver.closed) receiver.side.line(connection, flight.message);
    });
  }

  broken(connection: Connection): void {
    this.#connections.delete(connection);
    this.#leave(connection, connection.client, connection.server);
    this.#leave(connection, connection.server, connection.client);
  }

  /** What the end that knows of the break still gets: some prefix, perhaps very late, then the news. */
  #leave(connection: Connection, receiver: End, sender: End): void {
    const kept = Math.floor(this.#random() * (receiver.flights.length + 1));
    receiver.flights.forEach((flight, index) => {
      if (index >= kept) flight.cancelled = true;
    });
    const close = (): void => {
      if (receiver.closed) return;
      receiver.process.inLife(receiver.life, () => {
        receiver.closed = true;
        receiver.side.down(connection);
      });
    };
    const late = kept > 0 && chance(this.#random, this.faults.lateness);
    // Only a server is fooled by very late messages: a client that sees its connection break has closed it.
    if (!late || receiver === connection.client) {
      this.#timers.after(Math.max(0, receiver.busyUntil - this.#timers.now), close);
      return;
    }
    const flights = receiver.flights.filter(({ cancelled }) => !cancelled);
    for (const flight of flights) flight.cancelled = true;
    const { lateMsMax, clientLateMsMax } = this.faults;
    const fromClient = sender.process.name.startsWith("client");
    this.#timers.after(this.#random() * (fromClient ? clientLateMsMax : lateMsMax), () => {
      for (const { message } of flights) this.#arrive(connection, sender, receiver, { message, cancelled: false });
      close();
    });
  }
}

function end(process: Process, side: Side): End {
  return { process, life: process.life, side, flights: [], busyUntil: 0, closed: false };
}
