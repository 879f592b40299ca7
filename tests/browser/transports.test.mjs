// Each transport in a real browser, with Chloe's own client.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { House, connect, got, numbers } from './house.mjs';

let house;
before(async () => {
  house = await House.open(['--poll-hold-ms', '1000', '--ping-interval-ms', '2000']);
});
after(() => house.close());

for (const transport of ['websocket', 'xhr', 'jsonp']) {
  const options = () => ({ transports: [transport] });

  test(`${transport}: connect, send, be answered alone, hear all`, async () => {
    const [page, other] = [await house.clientPage(), await house.clientPage()];
    await connect(page, options());
    await connect(other, options());
    assert.equal(await page.evaluate(() => chloe.transport), transport);
    assert.equal(await page.evaluate(() => chloe.state), 'connected');
    const strange = '1+1 = 2 & ü 😀 % </script> \u2028 \' " \\ \n end';
    house.app.onmessage = ({ data, session }) => house.chloe.send({ session, data: `echo ${data}` });
    await page.evaluate((text) => chloe.send(text), strange);
    assert.equal((await house.app.took(({ data }) => data === strange)).data, strange);
    assert.deepEqual(await got(page, 1), [`echo ${strange}`]);
    house.app.onmessage = () => {};
    await house.chloe.send({ data: 'to all' });
    assert.deepEqual((await got(page, 2)).at(-1), 'to all');
    assert.deepEqual(await got(other, 1), ['to all'], 'the answer went to one browser only');
    assert.deepEqual([page.errors, other.errors], [[], []]);
  });

  test(`${transport}: a channel is heard by those who are in it, until they leave`, async () => {
    const [page, other] = [await house.clientPage(), await house.clientPage()];
    for (const each of [page, other]) await connect(each, options());
    await page.evaluate(() => {
      window.pumpkin = [];
      window.again = [];
      chloe.subscribe('pumpkin', (data) => pumpkin.push(data));
      chloe.subscribe('pumpkin', (data) => again.push(data));
    });
    // A subscription is made when what is sent after it arrives.
    await page.evaluate(() => chloe.send('in'));
    await house.app.took(({ data }) => data === 'in');
    await house.chloe.send({ channel: 'pumpkin', data: 'Trotter' });
    await house.chloe.send({ data: 'all' });
    assert.deepEqual(await got(page, 1, 'pumpkin'), ['Trotter']);
    assert.deepEqual(await got(page, 1, 'again'), ['Trotter']);
    assert.deepEqual(await got(page, 1), ['all']);
    assert.deepEqual(await got(other, 1), ['all']);
    await page.evaluate(() => {
      chloe.unsubscribe('pumpkin');
      chloe.send('out');
    });
    await house.app.took(({ data }) => data === 'out');
    await house.chloe.send({ channel: 'pumpkin', data: 'too late' });
    await house.chloe.send({ data: 'end' });
    assert.deepEqual(await got(page, 2), ['all', 'end']);
    house.app.taken = [];
  });

  test(`${transport}: a burst comes whole, in order and once`, async () => {
    const page = await house.clientPage();
    await connect(page, options());
    const burst = numbers(200, `${transport} `);
    for (const data of burst) await house.chloe.send({ data });
    assert.deepEqual(await got(page, burst.length), burst);
    await page.evaluate((burst) => burst.forEach((data) => chloe.send(data)), burst);
    await house.app.took(({ data }) => data === burst.at(-1));
    const taken = house.app.taken.filter(({ data }) => data.startsWith(transport));
    assert.deepEqual(taken.map(({ data }) => data), burst, 'nor do messages to the app overtake each other');
    house.app.taken = [];
  });

  test(`${transport}: silence longer than anything is held does no harm`, async () => {
    const page = await house.clientPage();
    await connect(page, options());
    const begun = Date.now();
    await page.waitForFunction((begun) => Date.now() - begun > 3000, begun);
    await house.chloe.send({ data: 'after silence' });
    assert.deepEqual(await got(page, 1), ['after silence']);
    assert.deepEqual(await page.evaluate(() => states), ['connecting', 'connected']);
  });

  test(`${transport}: a page comes back after a restart, with its channels`, async () => {
    const page = await house.clientPage();
    await connect(page, options());
    await page.evaluate(() => {
      window.news = [];
      chloe.subscribe('news', (data) => news.push(data));
    });
    for (const signal of ['SIGKILL', 'SIGTERM']) {
      await house.chloe.stop(signal);
      await page.waitForFunction(() => chloe.state !== 'connected');
      await house.chloe.start();
      await page.waitForFunction(() => chloe.state === 'connected');
      await page.evaluate((signal) => chloe.send(`back after ${signal}`), signal);
      await house.app.took(({ data }) => data === `back after ${signal}`);
      await house.chloe.send({ channel: 'news', data: signal });
      assert.equal((await got(page, signal === 'SIGKILL' ? 1 : 2, 'news')).at(-1), signal);
    }
    assert.deepEqual(page.errors, []);
  });

  test(`${transport}: a callback that throws breaks nothing`, async () => {
    const page = await house.clientPage();
    await connect(page, options());
    await page.evaluate(() => chloe.on('message', () => {
      throw new Error('from the page');
    }));
    for (const data of ['1', '2', '3']) await house.chloe.send({ data });
    assert.deepEqual(await got(page, 3), ['1', '2', '3']);
    assert.deepEqual(await page.evaluate(() => errors), Array(3).fill('from the page'));
    assert.deepEqual(page.errors, Array(3).fill('from the page'), 'it shows in the console');
  });

  test(`${transport}: disconnected means silent`, async () => {
    const page = await house.clientPage();
    await connect(page, options());
    await page.evaluate(() => chloe.disconnect());
    assert.equal(await page.evaluate(() => chloe.state), 'closed');
    await house.chloe.send({ data: 'unheard' });
    await page.evaluate(() => chloe.connect());
    await house.chloe.send({ data: 'heard' });
    await page.waitForFunction(() => got.includes('heard'));
  });
}

test('jsonp: script tags do not pile up', async () => {
  const page = await house.clientPage();
  await connect(page, { transports: ['jsonp'] });
  for (const data of numbers(20)) await house.chloe.send({ data });
  await got(page, 20);
  // The client's own, and that of the poll that is held.
  await page.waitForFunction(() => document.querySelectorAll('script').length <= 2);
});

test('chloe.mjs works by import, and finds its server by itself', async () => {
  for (const transport of ['websocket', 'xhr', 'jsonp']) {
    const page = await house.page(`<!doctype html><body><script type="module">
      import { Chloe } from 'http://localhost:${house.chloe.port}/chloe.mjs';
      window.got = [];
      window.chloe = new Chloe({ transports: ['${transport}'] });
      chloe.onmessage((data) => got.push(data));
      await chloe.connect();
      window.ready = true;
    </script>`);
    await page.waitForFunction(() => window.ready);
    await house.chloe.send({ data: transport });
    assert.deepEqual(await got(page, 1), [transport]);
  }
});
