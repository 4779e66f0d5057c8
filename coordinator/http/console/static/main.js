// The console: takes in the frames of the stream (frames.ts describes them) and hands each to the parts that show it.
import { showHistory, showSample, startCharts } from "./charts.js";
import { note, showEvents } from "./events.js";
import { byId, bytes, clock, count, duration, el, plural, rate, setText } from "./format.js";
import { startKeys } from "./keys.js";
import { addNode, knowCluster, knowRole, startManage } from "./manage.js";
import { markRow, showCoordinators, showNodes } from "./nodes.js";
import { isOpen, showOperations, timeLeft } from "./operations.js";
import { choose, showMiddle, showMoved, showRing, showStates, startRing } from "./ring.js";
import { follow } from "./stream.js";

const banner = byId("banner");
let link = "connecting";
let standing;

function showState(state) {
  standing = undefined;
  knowCluster(state);
  setText("cluster", state.cluster?.slice(0, 8) ?? "");
  byId("cluster").title = `Cluster ${state.cluster}`;
  showTiles(state);
  showStates(state.nodes);
  showNodes(state);
  showCoordinators(state);
  showOperations(state.operations);
  showProgress(state);
  showSample({ at: state.at, ...state.load });
  showLink("live");
  showBanner(problemsOf(state), state.nodes.some((node) => node.state === "down") ? "bad" : "warn");
  setText(
    "as-of",
    `As of ${clock(state.at)}, seen by the leader ${state.leader?.address ?? ""} · epoch ${state.epoch}`,
  );
}

function showTiles({ nodes, leader, epoch, copies, rf, load, inFlight, shed, queued, underReplicatedSlots, ...state }) {
  const down = nodes.filter(({ state: of }) => of === "down").length;
  const problem = down > 0 || underReplicatedSlots > 0 || nodes.some(({ state: of }) => of === "suspect");
  setText("tile-health", problem ? "Degraded" : "Healthy");
  byId("tile-health").className = `tile-value ${problem ? "warn-text" : "good-text"}`;
  setText(
    "tile-health-note",
    state.operations.some(isOpen) ? "rebalancing" : problem ? "see above" : "all copies in place",
  );
  setText("tile-leader", leader?.address ?? "–");
  setText("tile-leader-note", `epoch ${epoch}, for ${duration(leader?.sinceMs)}`);
  setText("tile-nodes", `${nodes.length - down} / ${nodes.length}`);
  byId("tile-nodes").className = `tile-value ${down > 0 ? "bad-text" : ""}`;
  setText("tile-nodes-note", `${copies} ${copies === 1 ? "copy" : "copies"}${copies < rf ? ` of ${rf} wanted` : ""}`);
  setText("tile-keys", count(nodes.reduce((sum, { keys }) => sum + (keys ?? 0), 0)));
  setText("tile-keys-note", bytes(nodes.reduce((sum, { bytes: size }) => sum + (size ?? 0), 0)));
  setText("tile-rate", `${rate(load.readsPerSecond + load.writesPerSecond)} /s`);
  setText(
    "tile-rate-note",
    `${count(inFlight)} in flight${queued > 0 ? `, ${count(queued)} queued` : ""}${shed > 0 ? `, ${count(shed)} shed` : ""}`,
  );
}

function showProgress({ operations, copies, nodes }) {
  const open = operations.find((operation) => isOpen(operation) && operation.slotsTotal > 0);
  if (!open)
    return showMiddle(
      count(nodes.length),
      `${nodes.length === 1 ? "node" : "nodes"} · ${copies} ${copies === 1 ? "copy" : "copies"}`,
    );
  const left = timeLeft(open);
  const part = Math.floor((open.slotsMoved / open.slotsTotal) * 100);
  showMiddle(`${part} %`, left === undefined ? "rebalancing" : `${duration(left)} left`);
}

function problemsOf({ nodes, underReplicatedSlots, rf, copies, voters }) {
  const named = (state) =>
    nodes
      .filter((node) => node.state === state)
      .map(({ id }) => id)
      .join(", ");
  const [down, silent] = [named("down"), voters.filter(({ answers }) => !answers).length];
  return [
    down !== "" && `Down: ${down}. Start it again with the data it had; it catches up by itself.`,
    down === "" &&
      underReplicatedSlots > 0 &&
      copies < rf &&
      `Under-replicated: ${plural(copies, "node")} hold what ${rf} should. Add nodes, or want fewer copies.`,
    silent * 2 >= voters.length &&
      voters.length > 0 &&
      `Only ${voters.length - silent} of ${voters.length} voters answer.`,
  ].filter((text) => text !== false);
}

function showBanner(problems, tone = "warn", ...more) {
  const text = problems.join(" ");
  banner.hidden = text === "";
  banner.className = `banner ${tone}`;
  if (banner.dataset.text === text) return;
  banner.dataset.text = text;
  banner.replaceChildren(el("span", {}, text), ...more);
}

/** There is nobody to show: which coordinator this is, and why. */
function showStanding(next) {
  const news = standing?.message !== next.message;
  standing = next;
  knowRole(next.role);
  showLink("live");
  setText("tile-health", next.role === "new" ? "New" : "No leader");
  byId("tile-health").className = `tile-value ${next.role === "new" ? "" : "bad-text"}`;
  if (!news) return;
  if (next.role === "new") {
    const button = el("button.primary", { type: "button", onclick: () => void addNode() }, "Add the first node…");
    return showBanner(
      ["This cluster has no node yet. Start one with ./node_server 5001 and add it here."],
      "info",
      button,
    );
  }
  showBanner([`No leader: ${next.message}`], "bad");
  note(`no leader: ${next.message}`);
}

function showLink(state, where) {
  const effective = state === "live" && standing !== undefined && standing.role !== "new" ? "leaderless" : state;
  if (effective === link) return;
  const before = link;
  link = effective;
  const words = { live: "Live", lost: "Reconnecting…", leaving: `Going on at ${where}…`, leaderless: "No leader" };
  setText("link-text", words[effective] ?? "Connecting…");
  byId("link").className = `pill ${effective}`;
  if (effective === "lost") {
    showBanner(["This page’s coordinator does not answer. What is shown is from before."], "bad");
    note("connection lost: reconnecting");
  }
  if (effective === "live" && before === "lost") note("connected again");
}

const TAKE = {
  standing: showStanding,
  ring: showRing,
  moved: showMoved,
  state: showState,
  history: showHistory,
  events: showEvents,
};

showEvents([]);
showOperations([]);
startRing((id) => {
  choose(id);
  markRow(id);
});
startCharts();
startManage();
startKeys();
follow({ onFrame: (name, data) => TAKE[name](data), onLink: showLink });
