// Networks that break a transport: the client finds another.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { House, connect, got } from './house.mjs';

let house;
before(async () => {
  house = await House.open(['--poll-hold-ms', '1000']);
});
after(() => house.close());

/** A proxy before Chloe that treats requests for an upgrade as `treat` says. */
async function proxy(treat) {
  const server = net.createServer((client) => {
    client.once('data', (first) => {
      if (/^upgrade: *websocket/im.test(first.toString('latin1'))) {
        treat(client);
        return;
      }
      const chloe = net.connect(house.chloe.port, '127.0.0.1');
      chloe.write(first);
      client.pipe(chloe).pipe(client);
      chloe.on('error', () => client.destroy());
    });
    client.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { port: server.address().port, close: () => server.close() };
}

const treatments = {
  'drops the connection': (client) => client.destroy(),
  'answers 400': (client) => client.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'),
  'says nothing at all': () => {},
};

for (const [name, treat] of Object.entries(treatments)) {
  test(`a proxy that ${name} when asked for a WebSocket is survived by XHR`, async () => {
    const between = await proxy(treat);
    const page = await house.clientPage(between.port);
    await connect(page, { port: between.port, connectTimeoutMs: 1500 });
    assert.equal(await page.evaluate(() => chloe.transport), 'xhr');
    await house.chloe.send({ data: name });
    assert.deepEqual(await got(page, 1), [name]);
    between.close();
  });
}

test('with XHR blocked as well, JSONP is left', async () => {
  const between = await proxy(treatments['drops the connection']);
  const page = await house.clientPage(between.port);
  await page.route('**/chloe/xhr**', (route) => route.abort());
  await connect(page, { port: between.port, connectTimeoutMs: 1500 });
  assert.equal(await page.evaluate(() => chloe.transport), 'jsonp');
  await house.chloe.send({ data: 'by script' });
  assert.deepEqual(await got(page, 1), ['by script']);
  between.close();
});

for (const transport of ['xhr', 'jsonp']) {
  test(`${transport}: a page of a foreign origin is refused, and told so`, async () => {
    const page = await house.clientPage();
    const foreign = await house.browser.newPage();
    await foreign.goto(page.url().replace('localhost', 'foreign.localhost'));
    await foreign.evaluate(([port, transport]) => {
      window.codes = [];
      window.chloe = new Chloe({ host: 'localhost', port, transports: [transport] });
      chloe.on('error', (error) => codes.push(error.message));
      chloe.connect().catch(() => {});
    }, [house.chloe.port, transport]);
    await foreign.waitForFunction(() => codes.length > 0);
    assert.notEqual(await foreign.evaluate(() => chloe.state), 'connected');
    // What XHR brings from a foreign server a page may not read.
    if (transport === 'jsonp') {
      assert.match(await foreign.evaluate(() => codes[0]), /allowed_origins/);
    }
  });
}
