// Pages of another site, in a browser that can reach Chloe: a name that points here, an image,
// a sandbox. And what a page's own requests say of its session.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { House, connect, got } from './house.mjs';

let house;
before(async () => {
  house = await House.open(['--poll-hold-ms', '1000'], ['--host-resolver-rules=MAP evil.example 127.0.0.1']);
});
after(() => house.close());

const status = async () => (await fetch(`http://127.0.0.1:${house.chloe.port}/chloe/status`)).json();

test('a page whose name points here reaches Chloe, and is refused by everything', async () => {
  const page = await (await house.browser.newContext()).newPage();
  const origin = `http://evil.example:${house.chloe.port}`;
  const pong = await page.goto(`${origin}/chloe/ping`);
  assert.equal(await pong.text(), 'pong', 'it is there');
  const { sessions } = await status();
  const tried = await page.evaluate(async () => {
    const connect = 'data=' + encodeURIComponent('{"type":"connect","version":1,"id":1,"positions":{}}');
    const ask = async (path, options) => {
      const answer = await fetch(path, options);
      return [answer.status, (await answer.text()).includes('server_names')];
    };
    const post = (body, headers = {}) => ({ method: 'POST', body, headers });
    const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
    const afar = { 'X-Forwarded-For': '203.0.113.9' };
    return {
      websocket: await new Promise((resolve) => {
        const socket = new WebSocket(`ws://${location.host}/chloe/websocket`);
        socket.onopen = () => resolve('open');
        socket.onerror = () => resolve('refused');
      }),
      xhr: await ask('/chloe/xhr', post(connect)),
      'xhr, by GET': await ask('/chloe/xhr?' + connect),
      'xhr, as if passed on': await ask('/chloe/xhr', post(connect, afar)),
      'xhr, by GET, as if passed on': await ask('/chloe/xhr?' + connect, { headers: afar }),
      send: await ask('/send', post('data=evil', form)),
      status: await ask('/chloe/status'),
      channel: await ask('/channels/x'),
    };
  });
  const refused = [403, true];
  assert.deepEqual(tried, {
    websocket: 'refused',
    xhr: refused,
    'xhr, by GET': refused,
    'xhr, as if passed on': refused,
    'xhr, by GET, as if passed on': refused,
    send: refused,
    status: refused,
    channel: refused,
  });
  const after = await status();
  assert.deepEqual([after.sessions, after.publications], [sessions, 0]);
});

test('its client is told why, by each transport that can be', async () => {
  const page = await (await house.browser.newContext()).newPage();
  await page.goto(`http://evil.example:${house.chloe.port}/chloe/ping`);
  await page.addScriptTag({ url: '/chloe.js' });
  for (const transport of ['xhr', 'jsonp']) {
    const error = await page.evaluate((transport) => new Promise((resolve) => {
      const chloe = new Chloe({ transports: [transport] });
      chloe.on('error', ({ code, message }) => {
        chloe.disconnect();
        resolve({ code, message });
      });
      chloe.connect();
    }), transport);
    assert.equal(error.code, 'forbidden_host', transport);
    assert.match(error.message, /server_names/, transport);
  }
});

test('the page of the app, and one of Chloe by localhost, work beside it', async () => {
  for (const transport of ['websocket', 'xhr', 'jsonp']) {
    const page = await house.clientPage();
    await connect(page, { transports: [transport] });
    await house.chloe.send({ data: transport });
    assert.deepEqual(await got(page, 1), [transport]);
    const own = await (await house.browser.newContext()).newPage();
    await own.goto(`http://localhost:${house.chloe.port}/chloe/ping`);
    await own.addScriptTag({ url: '/chloe.js' });
    await connect(own, { transports: [transport] });
    await house.chloe.send({ data: 'own' });
    assert.deepEqual(await got(own, 1), ['own']);
    for (const each of [page, own]) await each.context().close();
  }
});

test('an image in a page of another site makes no channel', async () => {
  house.app.page('/image', '<!doctype html><title>another site</title>');
  const page = await (await house.browser.newContext()).newPage();
  await page.goto(`http://evil.example:${house.app.port}/image`);
  const before = await status();
  for (const path of ['channels/x', 'chloe/status', 'chloe/xhr?data={"type":"connect"}', 'chloe/jsonp.js?data={"type":"connect","id":1}']) {
    await page.evaluate((url) => new Promise((resolve) => {
      const image = new Image();
      image.onload = image.onerror = resolve;
      image.referrerPolicy = 'no-referrer';
      image.src = url;
    }), `http://localhost:${house.chloe.port}/${path}`);
  }
  const after = await status();
  assert.equal(after.requests - before.requests, 5, 'the browser made all of them');
  assert.deepEqual([after.channels, after.sessions], [before.channels, before.sessions]);
});

test('a page without an origin is refused by each transport', async () => {
  const html = `<script src="http://localhost:${house.chloe.port}/chloe.js"></script><script>
    for (const transport of ['websocket', 'xhr', 'jsonp']) {
      const chloe = new Chloe({ transports: [transport], connectTimeoutMs: 2000 });
      chloe.on('state', (state) => {
        if (state !== 'connected' && state !== 'waiting') return;
        parent.postMessage({ transport, state, origin: self.origin }, '*');
        chloe.disconnect();
      });
      chloe.on('error', () => {});
      chloe.connect();
    }
  </script>`;
  const page = await house.page('<!doctype html><title>sandbox</title>', '/sandbox');
  const told = await page.evaluate((html) => new Promise((resolve) => {
    const told = [];
    onmessage = ({ data }) => told.push(data) === 3 && resolve(told);
    const frame = document.createElement('iframe');
    frame.sandbox = 'allow-scripts';
    frame.srcdoc = html;
    document.body.append(frame);
  }), html);
  told.sort((one, other) => (one.transport < other.transport ? -1 : 1));
  const refused = { state: 'waiting', origin: 'null' };
  assert.deepEqual(told, ['jsonp', 'websocket', 'xhr'].map((transport) => ({ transport, ...refused })));
});

test('no URL names the session, and no request asks for permission first', async () => {
  const heads = [];
  const between = net.createServer((client) => {
    const chloe = net.connect(house.chloe.port, '127.0.0.1');
    client.on('data', (bytes) => heads.push(...(bytes.toString('latin1').match(/^[A-Z]+ \S+ HTTP\/1\.1/gm) ?? [])));
    client.pipe(chloe).pipe(client);
    client.on('error', () => chloe.destroy());
    chloe.on('error', () => client.destroy());
  }).listen(0, '127.0.0.1');
  await once(between, 'listening');
  const { port } = between.address();
  for (const transport of ['websocket', 'xhr']) {
    const page = await house.clientPage(port);
    await connect(page, { transports: [transport], port, host: 'localhost' });
    const ids = [];
    house.app.onmessage = ({ session }) => ids.push(session) && {};
    await page.evaluate(() => {
      chloe.subscribe('news', () => {});
      return chloe.send('who am I');
    });
    await house.chloe.send({ data: transport });
    await got(page, 1);
    await page.context().close();
    assert.equal(ids.length, 1);
    assert.equal(heads.find((head) => head.includes(ids[0])), undefined);
  }
  const asked = new Set(heads.filter((head) => !head.includes('/chloe.js')));
  assert.deepEqual([...asked], ['GET /chloe/websocket HTTP/1.1', 'POST /chloe/xhr HTTP/1.1']);
  house.app.onmessage = () => {};
  between.close();
});
