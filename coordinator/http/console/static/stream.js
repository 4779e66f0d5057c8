// Stream: the page's connection. The browser reconnects by itself while its coordinator restarts; a connection that goes silent is opened
// again; and where the coordinator stays away, the page goes on at another one, whose console then follows whoever leads.
const FRAMES = ["standing", "ring", "moved", "state", "history", "events"];
/** The server says something once a second. */
const SILENT_MS = 4_000;
const REOPEN_MS = 500;
/** Without an answer for this long, the page leaves for another coordinator. */
const LEAVE_MS = 2_500;

/**
 * @param onFrame Called with each frame's name and data.
 * @param onLink Called with "live", "lost" or "leaving", and where to.
 */
export function follow({ onFrame, onLink }) {
  let source;
  let heardAt = performance.now();
  let lostAt;
  let elsewhere = [];
  let reopening;

  function heard(name, event) {
    heardAt = performance.now();
    lostAt = undefined;
    onLink("live");
    const data = JSON.parse(event.data);
    if (name === "state") elsewhere = data.coordinators.filter((address) => !isHere(address));
    onFrame(name, data);
  }

  function open() {
    reopening = undefined;
    source?.close();
    source = new EventSource("/console/events");
    for (const name of FRAMES) source.addEventListener(name, (event) => heard(name, event));
    source.addEventListener("error", lost);
    heardAt = performance.now();
  }

  function lost() {
    lostAt ??= performance.now();
    onLink("lost");
    if (source.readyState === EventSource.CLOSED) reopening ??= setTimeout(open, REOPEN_MS);
  }

  setInterval(() => {
    const now = performance.now();
    if (lostAt === undefined && now - heardAt > SILENT_MS) {
      lost();
      open();
    }
    if (lostAt !== undefined && now - lostAt > LEAVE_MS && elsewhere.length > 0) {
      const next = elsewhere.shift();
      onLink("leaving", next);
      location.replace(`${location.protocol}//${next}/`);
    }
  }, 250);
  open();
}

function isHere(address) {
  const plain = (text) => text.replace(/^(?:localhost|\[::1\]|0\.0\.0\.0)(?=:)/, "127.0.0.1");
  return plain(address) === plain(location.host);
}
