// Connections that break in the middle: what was sent meanwhile comes, each message once.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { House, connect, got, numbers } from './house.mjs';

/** What a server adds to the key of a WebSocket handshake (RFC 6455, 1.3). */
const HANDSHAKE_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

let house;
let between;
before(async () => {
  house = await House.open(['--poll-hold-ms', '1000']);
  between = await new Between().start();
});
after(async () => {
  between.stop();
  await house.close();
});

/** A proxy that can break every connection, and that may swallow WebSockets: open them, and then nothing. */
class Between {
  whole = true;
  swallows = false;
  sockets = new Set();
  server = net.createServer((near) => this.accept(near));

  async start() {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    this.port = this.server.address().port;
    return this;
  }

  accept(near) {
    near.on('error', () => {}).on('close', () => this.sockets.delete(near));
    if (!this.whole) return near.destroy();
    this.sockets.add(near);
    near.once('data', (first) => {
      const key = /^sec-websocket-key: *(\S+)/im.exec(first.toString('latin1'));
      if (key && this.swallows) return this.swallow(near, key[1]);
      const far = net.connect(house.chloe.port, '127.0.0.1');
      far.on('error', () => {}).on('close', () => near.destroy());
      near.on('close', () => far.destroy());
      far.write(first);
      near.pipe(far).pipe(near);
    });
  }

  swallow(near, key) {
    const accept = createHash('sha1').update(key + HANDSHAKE_GUID).digest('base64');
    near.write(
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
        `Sec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    near.resume();
  }

  cut() {
    this.whole = false;
    for (const socket of this.sockets) socket.destroy();
  }

  stop() {
    this.cut();
    this.server.close();
  }
}

for (const transport of ['websocket', 'xhr', 'jsonp']) {
  test(`${transport}: a connection that breaks loses nothing and doubles nothing`, async () => {
    const page = await house.clientPage(between.port);
    await connect(page, { transports: [transport] });
    await page.evaluate(() => {
      window.news = [];
      chloe.subscribe('news', (data) => news.push(data));
      chloe.send('in');
    });
    await house.app.took(({ data }) => data === 'in');
    const sent = numbers(5, 'before ');
    for (const data of sent) await house.chloe.send({ channel: 'news', data });
    between.cut();
    await page.waitForFunction(() => chloe.state !== 'connected');
    for (const data of numbers(50, 'meanwhile ')) {
      sent.push(data);
      await house.chloe.send({ channel: 'news', data });
    }
    await page.evaluate(() => chloe.send('said meanwhile'));
    between.whole = true;
    await page.evaluate(() => dispatchEvent(new Event('online')));
    await house.app.took(({ data }) => data === 'said meanwhile');
    await house.chloe.send({ channel: 'news', data: 'after' });
    sent.push('after');
    assert.deepEqual(await got(page, sent.length, 'news'), sent);
    assert.deepEqual(page.errors, []);
    house.app.taken = [];
  });
}

test('a WebSocket that opens and then is never answered is survived, and not tried again by the next page', async () => {
  between.swallows = true;
  const page = await house.clientPage(between.port);
  const sockets = [];
  page.on('websocket', (socket) => sockets.push(socket.url()));
  const tryAll = async () => {
    await connect(page, { connectTimeoutMs: 1000 });
    await house.chloe.send({ data: 'through' });
    assert.deepEqual(await got(page, 1), ['through']);
    return page.evaluate(() => chloe.transport);
  };
  assert.deepEqual([await tryAll(), sockets.length], ['xhr', 1]);
  await page.reload();
  assert.deepEqual([await tryAll(), sockets.length], ['xhr', 1]);
  between.swallows = false;
});
