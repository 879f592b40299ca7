// The cases of tests/interop/run with `ws` of npm as the client.
// Arguments: the port of a running Chloe. Prints one line for each case.
import assert from "node:assert/strict";
import { once } from "node:events";
import WebSocket from "ws";

const port = process.argv[2];
const patience = 10_000;

// A client whose messages can be awaited one by one.
class Client {
  constructor(options) {
    this.socket = new WebSocket(`ws://localhost:${port}/chloe/websocket`, options);
    this.messages = [];
    this.waiting = [];
    this.socket.on("message", (bytes, isBinary) => {
      assert(!isBinary, "Chloe speaks text");
      const message = JSON.parse(bytes);
      const next = this.waiting.shift();
      next ? next(message) : this.messages.push(message);
    });
  }

  static async open(options) {
    const client = new Client(options);
    await once(client.socket, "open");
    return client;
  }

  receive() {
    const kept = this.messages.shift();
    if (kept) return Promise.resolve(kept);
    return inTime(new Promise((resolve) => this.waiting.push(resolve)), "a message");
  }

  send(message) {
    this.socket.send(JSON.stringify(message));
  }

  async subscribe(channel, id = 1) {
    this.send({ type: "channel-subscribe", channel, id });
    const answer = await this.receive();
    assert.equal(answer.type, "subscribed");
    assert.equal(answer.id, id);
    assert.equal(answer.channel, channel);
  }

  async closed() {
    const [code, reason] = await inTime(once(this.socket, "close"), "the close");
    return { code, reason: reason.toString() };
  }
}

function inTime(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not come`)), patience);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function publish(form) {
  const body = new URLSearchParams(form);
  const answer = await fetch(`http://localhost:${port}/send`, { method: "POST", body });
  assert.equal(await answer.text(), "success");
}

const cases = {
  async "compression is declined, and the socket works"() {
    const client = await Client.open({ perMessageDeflate: true });
    assert.equal(client.socket.extensions, "");
    await client.subscribe("plain");
    client.socket.terminate();
  },

  async "200 publications arrive in order"() {
    const client = await Client.open();
    await client.subscribe("ws-order");
    for (let n = 0; n < 200; n += 1) await publish({ channel: "ws-order", data: `number ${n}` });
    let offset;
    for (let n = 0; n < 200; n += 1) {
      const message = await client.receive();
      assert.equal(message.data, `number ${n}`);
      assert.equal(message.channel, "ws-order");
      if (offset !== undefined) assert.equal(message.offset, offset + 1);
      offset = message.offset;
    }
    client.socket.terminate();
  },

  async "short, medium and long frames arrive whole"() {
    const client = await Client.open();
    await client.subscribe("ws-sizes");
    for (const length of [0, 1, 40, 60_000, 200_000]) {
      const data = "é".repeat(length / 2);
      await publish({ channel: "ws-sizes", data });
      assert.equal((await client.receive()).data, data);
    }
    client.socket.terminate();
  },

  async "a ping is answered with its payload"() {
    const client = await Client.open();
    client.socket.ping("are you there?");
    const [payload] = await inTime(once(client.socket, "pong"), "the pong");
    assert.equal(payload.toString(), "are you there?");
    client.socket.terminate();
  },

  async "Chloe pings, and a client that answers stays"() {
    const client = await Client.open();
    for (let n = 0; n < 4; n += 1) await inTime(once(client.socket, "ping"), "the ping");
    await client.subscribe("ws-still-here");
    client.socket.terminate();
  },

  async "a client that answers no ping is let go"() {
    const client = await Client.open({ autoPong: false });
    await client.closed();
  },

  async "a message in fragments, with a ping in between"() {
    const client = await Client.open();
    const text = JSON.stringify({ type: "channel-subscribe", channel: "Stücke", id: 7 });
    const bytes = Buffer.from(text);
    const middle = bytes.indexOf(0xc3) + 1; // within the two bytes of ü
    client.socket.send(bytes.subarray(0, middle), { fin: false, binary: false });
    client.socket.ping("between");
    client.socket.send(bytes.subarray(middle, middle + 4), { fin: false });
    client.socket.send(bytes.subarray(middle + 4), { fin: true });
    await inTime(once(client.socket, "pong"), "the pong");
    const answer = await client.receive();
    assert.equal(answer.channel, "Stücke");
    client.socket.terminate();
  },

  async "a close is answered with its code"() {
    for (const code of [1000, 3000, 4321]) {
      const client = await Client.open();
      client.socket.close(code, "bye");
      assert.equal((await client.closed()).code, code);
    }
  },

  async "1002 for a frame without a mask"() {
    const client = await Client.open();
    client.socket.send("{}", { mask: false });
    assert.equal((await client.closed()).code, 1002);
  },

  async "1007 for text that is not UTF-8"() {
    const client = await Client.open();
    client.socket.send(Buffer.from([0x7b, 0xff, 0x7d]), { binary: false });
    assert.equal((await client.closed()).code, 1007);
  },

  async "1009 for a message over the limit"() {
    const client = await Client.open();
    client.socket.send("x".repeat(70_000));
    assert.equal((await client.closed()).code, 1009);
  },

  async "1001 when Chloe stops"() {
    const client = await Client.open();
    await client.subscribe("ws-last");
    console.log("stop"); // tests/interop/run stops Chloe when it reads this
    assert.equal((await client.closed()).code, 1001);
  },
};

for (const [name, run] of Object.entries(cases)) {
  try {
    await run();
    console.log(`ok ${name}`);
  } catch (error) {
    console.log(`FAILED ${name}: ${error.message.split("\n").join(" ")}`);
  }
}
process.exit(0);
