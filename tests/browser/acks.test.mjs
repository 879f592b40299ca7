// Nothing is lost on the way: a message of a page reaches the app once and is answered, and what
// is published reaches the page, whatever breaks in between.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { Between } from './between.mjs';
import { House, connect, got, numbers } from './house.mjs';

let house;
let between;
before(async () => {
  house = await House.open(['--poll-hold-ms', '1000', '--ping-interval-ms', '2000', '--webhook-retry-max-ms', '500']);
  between = await new Between(house.chloe.port).start();
});
afterEach(() => {
  house.app.onmessage = () => {};
  house.app.taken = [];
});
after(async () => {
  between.stop();
  await house.close();
});

/** A page that is connected through what is between. */
async function open(transport) {
  const page = await house.clientPage(between.port);
  await connect(page, { transports: [transport] });
  return page;
}

/** Sends each, and notes what became of it in `outcomes`. */
function sendAll(page, list) {
  return page.evaluate((list) => {
    window.outcomes = [];
    list.forEach((data) => {
      chloe.send(data).then((answer) => outcomes.push(answer), (error) => outcomes.push(error.code));
    });
  }, list);
}

/** Waits for the outcome of each of `sent`: the app's answer. Which comes first after a reconnect is not said. */
async function answered(page, sent) {
  const outcomes = await got(page, sent.length, 'outcomes');
  assert.deepEqual(outcomes.map(({ echo }) => echo).sort(), sent.concat().sort());
}

const taken = () => house.app.taken.map(({ data }) => data);
const echo = ({ data }) => ({ json: { echo: data } });

for (const transport of ['websocket', 'xhr', 'jsonp']) {
  test(`${transport}: a send is answered by the app`, async () => {
    const page = await open(transport);
    house.app.onmessage = ({ data }) => ({ ok: { json: { you: ['said', data, '</script>'] } }, no: { status: 403 } })[data];
    const said = await page.evaluate(async () => {
      const code = await chloe.send('no').catch((error) => [error.code, error.temporary]);
      return [await chloe.send('ok'), await chloe.send('nothing'), code];
    });
    assert.deepEqual(said, [{ you: ['said', 'ok', '</script>'] }, undefined, ['app_rejected', false]]);
    assert.deepEqual(await page.evaluate(() => errors.length), 1);
    assert.deepEqual(page.errors, [], 'nor does a promise that nobody looks at complain');
  });

  test(`${transport}: what is sent while the app is down is answered when it is up`, async () => {
    const page = await open(transport);
    house.app.onmessage = echo;
    house.app.stop();
    const sent = numbers(20, 'down ');
    await sendAll(page, sent);
    const late = await page.evaluate(() => chloe.send('impatient', { timeoutMs: 300 }).catch((error) => error.code));
    assert.equal(late, 'timeout');
    // Neither publications nor subscriptions wait for the app.
    await page.evaluate(() => new Promise((resolve) => {
      chloe.subscribe('news', resolve);
      const timer = setInterval(() => chloe.position('news') && (clearInterval(timer), resolve()), 20);
    }));
    await house.chloe.send({ data: 'meanwhile' });
    assert.deepEqual(await got(page, 1), ['meanwhile']);
    await house.app.start();
    await answered(page, sent);
    assert.deepEqual(taken().filter((data) => data !== 'impatient'), sent);
  });

  test(`${transport}: connections that are cut while sends are under way double nothing`, async () => {
    const page = await open(transport);
    house.app.onmessage = async (message) => {
      await pause(5);
      return echo(message);
    };
    const sent = numbers(120, 'cut ');
    await sendAll(page, sent);
    for (const count of [10, 40, 80]) {
      await house.app.took(({ data }) => data === sent[count]);
      between.cut();
      await page.waitForFunction(() => chloe.state !== 'connected');
      between.whole = true;
      await page.evaluate(() => dispatchEvent(new Event('online')));
    }
    await answered(page, sent);
    assert.deepEqual(taken(), sent);
    assert.deepEqual(page.errors, []);
  });

  test(`${transport}: a server that is stopped in good order doubles nothing; one that is killed loses nothing`, async () => {
    const page = await open(transport);
    house.app.onmessage = async (message) => {
      await pause(5);
      return echo(message);
    };
    for (const signal of ['SIGTERM', 'SIGKILL']) {
      house.app.taken = [];
      const sent = numbers(80, `${signal} `);
      await sendAll(page, sent);
      await house.app.took(({ data }) => data === sent[20]);
      await house.chloe.stop(signal);
      await house.chloe.start();
      await answered(page, sent);
      if (signal === 'SIGTERM') assert.deepEqual(taken(), sent);
      else assert.deepEqual([...new Set(taken())], sent, 'at least once, and in order');
    }
    assert.deepEqual(page.errors, []);
  });
}

test('websocket: a message that is too long for the server fails, and the next one does not', async () => {
  const page = await open('websocket');
  const [long, short] = await page.evaluate(() => {
    const long = chloe.send('x'.repeat(100_000)).catch((error) => error.code);
    return Promise.all([long, chloe.send('short')]);
  });
  assert.deepEqual([long, short, taken()], ['closed_1009', undefined, ['short']]);
});
