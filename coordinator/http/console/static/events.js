// Events: elections, nodes and operations as they happen, the newest first. What came from an earlier leader stays, and what this page
// itself noticed of its connection is among them.
import { byId, clock, el } from "./format.js";

const SHOWN_MAX = 100;
const list = byId("events");
let events = [];

/** @param more `{at, about, text}`, also ones that are known. */
export function showEvents(more) {
  const known = new Set(events.map(nameOf));
  const news = more.filter((event) => !known.has(nameOf(event)));
  if (news.length === 0 && events.length > 0) return;
  events = [...events, ...news].sort((a, b) => b.at - a.at).slice(0, SHOWN_MAX);
  list.replaceChildren(
    ...(events.length === 0 ? [el("li.muted.empty", {}, "Nothing has happened yet.")] : events.map(itemOf)),
  );
}

export function note(text) {
  showEvents([{ at: Date.now(), about: "page", text }]);
}

const nameOf = ({ at, text }) => `${at} ${text}`;

function itemOf({ at, about, text }) {
  return el(
    `li.event.${about}.${toneOf(text)}`,
    {},
    el("span.dot", { "aria-hidden": "true" }),
    el("time.mono", { dateTime: new Date(at).toISOString() }, clock(at)),
    el("span", {}, text.charAt(0).toUpperCase() + text.slice(1)),
  );
}

function toneOf(text) {
  if (/ is down| failed|lost|waits for a majority/.test(text)) return "bad";
  if (/cancelled|stands by|reconnect/.test(text)) return "warn";
  return "good";
}
