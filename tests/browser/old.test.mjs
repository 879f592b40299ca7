// Part A of the protocol: pages that know nothing newer.
//
// First with Chloe's own client but only the surface of 2011, then with a
// client that behaves on the wire as the one of 2011 did.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { House, got, numbers, read } from './house.mjs';

let house;
before(async () => {
  house = await House.open(['--poll-hold-ms', '1000']);
});
after(() => house.close());

const strange = '1+1 = 2 & ü 😀 % </script> \u2028 \' " \\ end';

for (const transport of ['WebSocketTransport', 'XhrTransport', 'JsonpTransport']) {
  test(`a page written for the old surface, by ${transport}`, async () => {
    const page = await house.clientPage();
    await page.evaluate(([transport, port]) => new Promise((resolve) => {
      window.got = [];
      window.pumpkin = [];
      window.ended = 0;
      if (!Chloe[transport].isEnabled()) throw new Error('not enabled');
      window.client = new Chloe({ host: 'localhost', port, transports: [Chloe[transport]] });
      client.onmessage((data) => got.push(data));
      client.onclose(() => { ended += 1; });
      client.connect(() => {
        client.subscribe('pumpkin', (data) => pumpkin.push(data));
        client.send('hello from ' + transport);
        resolve();
      });
    }), [transport, house.chloe.port]);
    await house.app.took(({ data }) => data === `hello from ${transport}`);
    await house.chloe.send({ data: strange });
    await house.chloe.send({ channel: 'pumpkin', data: 'Trotter' });
    assert.deepEqual(await got(page, 1), [strange]);
    assert.deepEqual(await got(page, 1, 'pumpkin'), ['Trotter']);
    await house.chloe.stop();
    await page.waitForFunction(() => ended === 1);
    await house.chloe.start();
  });

  test(`a client of the old kind, by ${transport}`, async () => {
    house.app.page('/old.js', read('old-client.js'), 'text/javascript');
    const page = await house.page('<!doctype html><body><script src="/old.js"></script>');
    await page.evaluate(([transport, port]) => oldClient(transport, port), [transport, house.chloe.port]);
    await page.evaluate((text) => {
      old.subscribe('pumpkin/é');
      old.say(text);
      old.say('and more');
    }, strange);
    await house.app.took(({ data }) => data === strange);
    await house.app.took(({ data }) => data === 'and more');
    const burst = numbers(60);
    for (const data of burst) await house.chloe.send({ data });
    assert.deepEqual(await got(page, 60), burst, 'each once, in order');
    await house.chloe.send({ channel: 'pumpkin/é', data: strange });
    assert.deepEqual((await got(page, 61)).at(-1), strange);
    const begun = Date.now();
    await page.waitForFunction((begun) => Date.now() - begun > 2500, begun);
    await Promise.all(numbers(20, 'b').map((data) => house.chloe.send({ data })));
    const all = await got(page, 81);
    assert.deepEqual(all.slice(61).sort(), numbers(20, 'b').sort(), 'after holds nothing is lost or doubled');
    assert.equal(await page.evaluate(() => channels.at(60)), 'pumpkin/é', 'the channel as it was given');
    assert.deepEqual(page.errors, []);
    house.app.taken = [];
  });
}

test('old pages by JSONP do not make a storm of a restart', async () => {
  house.app.page('/old.js', read('old-client.js'), 'text/javascript');
  const page = await house.page('<!doctype html><body><script src="/old.js"></script>');
  await page.evaluate((port) => oldClient('JsonpTransport', port), house.chloe.port);
  await house.chloe.stop();
  await house.chloe.start();
  let requests = 0;
  page.on('request', () => { requests += 1; });
  const begun = Date.now();
  await page.waitForFunction((begun) => Date.now() - begun > 1000, begun);
  assert.ok(requests <= 2, `${requests} requests in a second`);
});
