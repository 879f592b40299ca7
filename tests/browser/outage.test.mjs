// A page loses its network for 20 seconds while 500 messages are published, and comes back by
// itself: it has all of them, in order, each once. Every transport and every way to lose a
// network at the same time, each in a page of its own.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { Between } from './between.mjs';
import { House, connect, got, numbers } from './house.mjs';

const OUTAGE_MS = 20_000;

/** After the outage: a wait that has grown with each failed attempt, or a poll that nobody will answer. */
const RETURN_MS = 45_000;

const MESSAGES = 500;

/** Ways to lose a network: what is between page and server does, and what the browser knows. */
const OUTAGES = [
  {
    name: 'every connection is refused',
    begin: (page) => page.between.cut(),
    end: (page) => (page.between.whole = true),
    says: true,
  },
  {
    name: 'everything is swallowed, and nothing else is said',
    begin: (page) => page.between.drop(),
    end: (page) => (page.between.drops = false),
    says: false,
  },
  {
    name: 'everything is swallowed, and the browser knows that it is offline',
    begin: (page) => {
      page.between.drop();
      return page.context().setOffline(true);
    },
    end: (page) => {
      page.between.drops = false;
      return page.context().setOffline(false);
    },
    says: true,
  },
];

let house;
before(async () => {
  house = await House.open(['--ping-interval-ms', '5000']);
});
after(() => house.close());

/** A page that hears the news, connected through something between of its own. */
async function open(transport, outage) {
  const between = await new Between(house.chloe.port).start();
  const page = await house.clientPage(between.port, `/${between.port}`);
  Object.assign(page, { between, outage, name: `${transport}: ${outage.name}` });
  page.setDefaultTimeout(RETURN_MS);
  await connect(page, { transports: [transport] });
  await page.evaluate(() => {
    window.news = [];
    window.recovered = [];
    window.gaps = [];
    chloe.subscribe('news', (data) => news.push(data));
    chloe.on('recovered', (event) => recovered.push(event));
    chloe.on('gap', (event) => gaps.push(event));
  });
  await page.evaluate(() => chloe.send('in'));
  return page;
}

/** What has to be true of a page in the end. */
async function check(page, news) {
  const sent = `said by ${page.name}`;
  assert.deepEqual(await got(page, news.length, 'news'), news);
  const outcome = await page.evaluate(() => window.said);
  assert.equal(outcome, page.outage.says ? 'answered' : undefined);
  assert.equal(house.app.taken.filter(({ data }) => data === sent).length, page.outage.says ? 1 : 0);
  const [recovered, gaps, transport] = await page.evaluate(() => [recovered, gaps, chloe.transport]);
  assert.equal(transport, page.name.split(':')[0]);
  const told = recovered.filter(({ channel }) => channel === 'news');
  assert(told.length > 0 && told.every(({ recovered }) => recovered), JSON.stringify(told));
  assert.deepEqual(gaps, []);
  assert.deepEqual(page.errors, []);
}

test(`${MESSAGES} messages that are published while the network is away for ${OUTAGE_MS / 1000} s all come`, async (t) => {
  const pages = await Promise.all(
    ['websocket', 'xhr', 'jsonp'].flatMap((transport) => OUTAGES.map((outage) => open(transport, outage))),
  );
  const news = ['before', ...numbers(MESSAGES, 'news ')];
  await house.chloe.send({ channel: 'news', data: news[0] });
  await Promise.all(pages.map((page) => got(page, 1, 'news')));

  await Promise.all(pages.map((page) => page.outage.begin(page)));
  const saying = pages.filter((page) => page.outage.says);
  for (const page of saying) {
    await page.evaluate((data) => {
      window.said = chloe.send(data).then(() => 'answered', (error) => error.code);
    }, `said by ${page.name}`);
  }
  const over = pause(OUTAGE_MS);
  for (const data of news.slice(1)) {
    await Promise.all([house.chloe.send({ channel: 'news', data }), pause((OUTAGE_MS / MESSAGES) * 0.9)]);
  }
  await over;
  const heard = await Promise.all(pages.map((page) => page.evaluate(() => news.length)));
  assert.deepEqual(heard, pages.map(() => 1), 'nothing comes through');

  await Promise.all(pages.map((page) => page.outage.end(page)));
  const began = Date.now();
  const checks = pages.map(async (page) => {
    await check(page, news);
    return `back after ${((Date.now() - began) / 1000).toFixed(1)} s`;
  });
  // Told one by one, but all wait at the same time.
  const settled = Promise.allSettled(checks);
  for (const [number, page] of pages.entries()) {
    await t.test(page.name, async (t) => t.diagnostic(await checks[number]));
  }
  await settled;
  pages.forEach((page) => page.between.stop());
});
