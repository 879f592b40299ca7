// 1,000 WebSockets by `ws` of npm, a publisher that never stops, and a `chloe restart` in
// between: nobody is refused, nothing is lost, nothing comes twice.
// Argument: the port of a running Chloe. Prints `restart`, waits for a line on standard input
// that says it is done, and prints a line for each case, as ws_client.mjs does.
import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import WebSocket from "ws";

const port = process.argv[2];
const PAGES = 1_000;
/** Connections that are being made at the same time, at first. */
const OPENING = 100;
/** The publisher's pause behind each answer: every publication is 1,000 messages to read here. */
const PAUSE_MS = 20;
/** How long a page waits before it comes back, at most. */
const BACK_MS = 500;
const PATIENCE_MS = 20_000;

const found = { lost: 0, doubled: 0, broken: 0, notResumed: 0, notRecovered: 0, codes: {} };

/** A promise, and what settles it. */
function promised() {
  let resolve;
  const promise = new Promise((settle) => (resolve = settle));
  return { promise, resolve };
}

/** A client as docs/protocol.md describes it: a session, a position, and the wish to come back. */
class Page {
  /** Settled when it has subscribed, and when the last message has come. */
  subscribed = promised();
  ended = promised();
  connections = 0;

  connect() {
    const socket = new WebSocket(`ws://localhost:${port}/chloe/websocket`);
    const positions = this.epoch ? { news: `${this.epoch}:${this.offset}` } : {};
    socket.on("open", () => this.send(socket, { type: "connect", sessionId: this.session, positions }));
    socket.on("message", (bytes) => this.take(socket, JSON.parse(bytes)));
    socket.on("error", () => (found.broken += 1));
    socket.on("close", (code) => {
      found.codes[code] = (found.codes[code] ?? 0) + 1;
      if (!this.over) setTimeout(() => this.connect(), Math.random() * BACK_MS);
    });
    this.socket = socket;
  }

  send(socket, message) {
    socket.send(JSON.stringify({ version: 1, ...message }));
  }

  take(socket, message) {
    if (message.type === "connect") {
      this.connections += 1;
      if (this.session) {
        if (!message.resumed) found.notResumed += 1;
        if (!message.channels.news?.recovered) found.notRecovered += 1;
      } else {
        this.send(socket, { type: "channel-subscribe", channel: "news", id: 1 });
      }
      this.session = message.sessionId;
    } else if (message.type === "subscribed") {
      const [epoch, offset] = message.position.split(":");
      Object.assign(this, { epoch, offset: +offset });
      this.subscribed.resolve();
    } else if (message.channel === "news") {
      if (message.offset <= this.offset) found.doubled += 1;
      else found.lost += message.offset - this.offset - 1;
      this.offset = Math.max(this.offset, message.offset);
      if (message.data === "end") this.ended.resolve();
    }
  }

  close() {
    this.over = true;
    this.socket.terminate();
  }
}

/** Publishes as an app does; each on a connection of its own, so that a refused one shows. */
function publish(data) {
  return new Promise((resolve, reject) => {
    const headers = { "Content-Type": "application/x-www-form-urlencoded" };
    const request = http.request({ port, host: "localhost", path: "/send", method: "POST", headers, agent: false });
    request.on("error", reject).on("response", (response) => {
      response.resume();
      if (response.statusCode === 200) response.on("end", resolve);
      else reject(new Error(`/send was answered ${response.statusCode}`));
    });
    request.end(new URLSearchParams({ channel: "news", data }).toString());
  });
}

async function until(condition, what) {
  const deadline = Date.now() + PATIENCE_MS;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`${what}: not in time`);
    await pause(20);
  }
}

const pages = Array.from({ length: PAGES }, () => new Page());
for (let first = 0; first < PAGES; first += OPENING) {
  const some = pages.slice(first, first + OPENING);
  some.forEach((page) => page.connect());
  await Promise.all(some.map((page) => page.subscribed.promise));
}

let published = 0;
let stopped = false;
const refused = [];
const publisher = (async () => {
  while (!stopped) {
    await publish(String(published)).then(() => (published += 1), (error) => refused.push(error.message));
    await pause(PAUSE_MS);
  }
})();

const cases = {
  async "1,000 WebSockets come back over a restart, with their sessions, recovered"() {
    await until(() => published > 50, "publishing");
    console.log("restart");
    await once(process.stdin, "data");
    await until(() => pages.every((page) => page.connections === 2), "all are back");
    const { notResumed, notRecovered, broken, codes } = found;
    assert.deepEqual({ notResumed, notRecovered, broken }, { notResumed: 0, notRecovered: 0, broken: 0 });
    assert.deepEqual(codes, { 1012: PAGES });
  },

  async "a publisher that never stops is never refused"() {
    const before = published;
    await until(() => published > before + 50, "publishing goes on");
    stopped = true;
    await publisher;
    assert.deepEqual(refused, []);
  },

  async "nothing is lost, nothing comes twice"() {
    await publish("end");
    const ended = Promise.all(pages.map((page) => page.ended.promise));
    await Promise.race([ended, pause(PATIENCE_MS).then(() => Promise.reject(new Error("the last one did not come")))]);
    const { lost, doubled } = found;
    assert.deepEqual({ lost, doubled }, { lost: 0, doubled: 0 });
    assert(pages.every((page) => page.offset === published + 1), "all offsets");
    return `${published + 1} publications to each`;
  },
};

for (const [name, run] of Object.entries(cases)) {
  try {
    const more = await run();
    console.log(`ok ${name}${more ? `: ${more}` : ""}`);
  } catch (error) {
    console.log(`FAILED ${name}: ${error.message.split("\n").join(" ")}`);
  }
}
pages.forEach((page) => page.close());
process.exit(0);
