// Connections that break in the middle: what was sent meanwhile comes, each message once.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Between } from './between.mjs';
import { House, connect, got, numbers } from './house.mjs';

let house;
let between;
before(async () => {
  house = await House.open(['--poll-hold-ms', '1000']);
  between = await new Between(house.chloe.port).start();
});
after(async () => {
  between.stop();
  await house.close();
});

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
    // Not waited for: it is answered when there is a connection.
    await page.evaluate(() => void chloe.send('said meanwhile'));
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
