// News: how it is worded for people what became of a coordinator: its role, who is missing, and the command that helps.
import { parseAddress } from "../shared/io/address.ts";
import type { RoleNews } from "./leader.ts";

/** How a storage node is started again, where this process knows better than its port tells. */
export type StartCommand = (id: string) => string | undefined;

/** @param own Address of this coordinator. */
export function roleLines(news: RoleNews, own: string, startCommand: StartCommand = () => undefined): string[] {
  switch (news.role) {
    case "new":
      return ["No node added yet. Start one with ./node_server 5001, then type here: addnode A 5001"];
    case "leader":
      return [`Coordinator ${own} leads (epoch ${news.epoch}).`];
    case "standby":
      return standbyLines(news);
    case "waiting":
      return waitingLines(news, startCommand);
  }
}

function standbyLines({ leader, epoch }: RoleNews): string[] {
  if (leader === undefined)
    return [`Another coordinator took over (epoch ${epoch}); start this one again to find out where it is.`];
  return [
    `Another coordinator leads, at ${leader}: commands typed here are carried out there.`,
    `A shell straight on it: ./runtime shell --connect ${leader}`,
  ];
}

function waitingLines({ missing, asked, because }: RoleNews, startCommand: StartCommand): string[] {
  if (because !== undefined) return [`Waiting: ${because}.`];
  if (missing.length === 0) {
    const rows = asked.map((address) => `  ${address}: ${commandAt(address)}`);
    return ["Waiting: no node of the cluster answers. Start them again, with the data they had:", ...rows];
  }
  const rows = missing.map(({ id, address }) => {
    if (id.startsWith("coordinator:")) return `  the coordinator at ${address}: ./runtime there`;
    return `  ${id} (${address}): ${startCommand(id) ?? commandAt(address)}`;
  });
  return ["Waiting for a majority of the voters. Start these again, with the data they had:", ...rows];
}

function commandAt(address: string): string {
  try {
    return `./node_server ${parseAddress(address).port}`;
  } catch {
    return "./node_server <port>"; // the address comes from a file
  }
}
