// Sends that are acknowledged: what each promise comes to, and that a message survives its connection.

import assert from 'node:assert/strict';
import test from 'node:test';
import { World, connected, messageOf } from './world.mjs';

function start(options = {}) {
  const world = new World();
  const chloe = new world.Chloe(options);
  const errors = [];
  chloe.on('error', (error) => errors.push(error.code));
  return { world, chloe, errors };
}

/** A client that is connected by WebSocket. */
function bySocket() {
  const started = start();
  started.chloe.connect();
  open(started.world);
  return started;
}

function open(world, more) {
  world.socket.open();
  world.socket.say(connected(more));
}

const messages = (socket) => socket.sent.filter(({ type }) => type === 'message').map(({ id, data }) => id + data);
const accepted = (id, answer) => ({ type: 'accepted', version: 1, id, answer });
const refused = (id, code, temporary) => ({ type: 'error', version: 1, id, code, message: 'No.', temporary });

test('a send comes to what the app answers', async () => {
  const { world, chloe, errors } = bySocket();
  const sends = [chloe.send('a'), chloe.send('b'), chloe.send('c')];
  world.socket.say(accepted('1', { total: 3 }), accepted('2'), refused('3', 'app_rejected', false));
  assert.equal((await sends[0]).total, 3);
  assert.equal(await sends[1], undefined);
  await assert.rejects(sends[2], { message: 'No.', code: 'app_rejected', temporary: false });
  assert.deepEqual(errors, ['app_rejected'], 'who does not look at promises is told as well');
  world.socket.say(accepted('1'), refused('3', 'late', false));
  assert.deepEqual(errors, ['app_rejected', 'late'], 'an error of nobody is told');
});

for (const spelling of ['timeoutMs', 'timeout_ms']) {
  test(`${spelling} bounds the wait; what is late is nobody's`, async () => {
    const { world, chloe, errors } = bySocket();
    const late = chloe.send('a', { [spelling]: 1000 });
    const quick = chloe.send('b', { [spelling]: 1000 });
    world.pass(999);
    world.socket.say(accepted('2', 'b'));
    assert.deepEqual(errors, []);
    world.pass(1);
    await assert.rejects(late, { code: 'timeout', temporary: true });
    assert.equal(await quick, 'b');
    world.socket.say(accepted('1'));
    assert.deepEqual([errors, world.timers.size], [['timeout'], 1]);
  });
}

test('a message that was not sent in time is not sent any more', () => {
  const { world, chloe } = start();
  chloe.connect();
  chloe.send('old', { timeoutMs: 100 });
  chloe.send('new');
  world.pass(100);
  open(world);
  assert.deepEqual(messages(world.socket), ['2new']);
});

test('what was not answered goes again, in order and with the same ids, before what is new', () => {
  const { world, chloe } = bySocket();
  for (const data of ['a', 'b', 'c']) chloe.send(data);
  world.socket.say(accepted('2'));
  world.socket.die();
  chloe.send('d');
  for (const [sessionId, waitMs] of [['s1', 250], ['s2', 500]]) {
    world.pass(waitMs);
    open(world, { sessionId, resumed: sessionId === 's1' });
    assert.deepEqual(messages(world.socket), ['1a', '3c', '4d']);
    world.socket.die();
  }
});

test('so many are under way at a time, and no more', () => {
  const { world, chloe } = bySocket();
  for (let i = 1; i <= 100; i++) chloe.send('');
  assert.equal(messages(world.socket).length, 32);
  world.socket.say(accepted('1'), accepted('2'));
  assert.equal(messages(world.socket).length, 34);
});

test('a server that stops has not refused: the next one is asked', () => {
  const { world, chloe, errors } = bySocket();
  chloe.send('a');
  world.socket.say(refused('1', 'stopping', true));
  world.socket.die(1001);
  world.pass(250);
  open(world);
  assert.deepEqual([messages(world.socket), errors], [['1a'], []]);
});

test('a message that is too long for the server is not sent for ever', async () => {
  const { world, chloe, errors } = bySocket();
  chloe.send('a');
  const long = chloe.send('x'.repeat(70000));
  world.socket.die(1009);
  await assert.rejects(long, { code: 'closed_1009', temporary: false });
  world.pass(250);
  open(world, { resumed: true });
  assert.deepEqual([messages(world.socket), errors], [['1a'], ['closed_1009']]);
});

test('xhr: the app may take its time, and holds up nothing but messages', async () => {
  const { world, chloe, errors } = start({ transports: ['xhr'] });
  chloe.connect();
  world.request('connect').answer(200, connected());
  const slow = chloe.send('slow');
  chloe.send('next');
  chloe.subscribe('news', () => {});
  world.request('channel-subscribe').answer(200, { type: 'subscribed', version: 1, id: '3', channel: 'news', position: 'bb:7', recovered: true });
  for (let i = 0; i < 8; i++) {
    const { message, timeout } = world.request('message');
    assert.deepEqual([message.id, message.data, timeout], ['1', 'slow', 25000]);
    world.pass(25000);
    world.request('poll').answer(200, { messages: [] });
    world.request('message').answer(0);
  }
  world.request('message').answer(504, 'A proxy ran out of patience.');
  world.pass(500);
  world.request('message').answer(200, accepted('1', [1]));
  assert.equal((await slow)[0], 1);
  world.request('message').answer(502, refused('2', 'app_unavailable', true));
  assert.deepEqual([chloe.state, errors, world.open.length], ['connected', ['app_unavailable'], 1]);
});

test('xhr: a server that stops is left when the app has answered what it is being asked', async () => {
  const { world, chloe, errors } = start({ transports: ['xhr'] });
  chloe.connect();
  world.request('connect').answer(200, connected());
  const asked = chloe.send('asked');
  chloe.send('next');
  world.request('poll').answer(503, refused(null, 'stopping', true));
  assert.deepEqual([chloe.state, world.open.length], ['connected', 1]);
  world.request('message').answer(200, accepted('1', 'taken'));
  assert.equal(await asked, 'taken');
  assert.equal(chloe.state, 'waiting');
  world.pass(250);
  world.request('connect').answer(200, connected());
  assert.equal(world.request('message').message.data, 'next');
  assert.deepEqual(errors, []);
});

test('jsonp: a repeated message keeps its id, and its answer finds the new connection', async () => {
  const { world, chloe } = start({ transports: ['jsonp'] });
  chloe.connect();
  world.respond(world.tag('connect'), connected({ id: 1 }));
  const send = chloe.send('a');
  world.tag('message').onerror();
  world.pass(250);
  assert.equal(messageOf(world.tag('connect').src).id, 2);
  world.respond(world.tag('connect'), connected({ id: 2, resumed: true }));
  const again = world.tag('message');
  assert.equal(messageOf(again.src).id, '1');
  assert.match(again.getAttribute('data-id'), /^2\.\d+$/);
  world.respond(again, accepted('1', 'x'));
  assert.equal(await send, 'x');
});

test('jsonp: what no URL can hold is refused at once', async () => {
  const { world, chloe } = start({ transports: ['jsonp'] });
  chloe.connect();
  world.respond(world.tag('connect'), connected({ id: 1 }));
  const send = chloe.send('x'.repeat(9000));
  world.pass(0);
  await assert.rejects(send, { code: 'too_long', temporary: false });
});

test('a subscription may begin at a position, and positions can be read', () => {
  const { world, chloe } = bySocket();
  const news = [];
  const told = [];
  chloe.on('recovered', ({ channel, recovered }) => told.push(channel + ' ' + recovered));
  assert.equal(chloe.position('news'), undefined);
  chloe.subscribe('news', (data) => news.push(data), { since: 'bb:7' });
  chloe.subscribe('news', () => {}, { since: 'bb:1' });
  assert.deepEqual(world.socket.sent.slice(1), [{ type: 'channel-subscribe', version: 1, id: '1', channel: 'news', since: 'bb:7' }]);
  world.socket.say({ type: 'subscribed', version: 1, id: '1', channel: 'news', position: 'bb:9', recovered: true });
  for (const offset of [7, 8, 9]) world.socket.say({ data: offset, version: 1, channel: 'news', offset });
  assert.deepEqual([news, chloe.position('news'), chloe.position('/all')], [[8, 9], 'bb:9', 'aa:0']);
  assert.deepEqual(told, ['news true']);
});

test('after a reconnect each channel is told of: recovered, or with a gap', () => {
  const { world, chloe } = bySocket();
  const told = [];
  chloe.on('recovered', ({ channel, recovered }) => told.push(channel + ' ' + recovered));
  chloe.on('gap', ({ channel, missed }) => told.push(channel + ' gap ' + missed));
  for (const channel of ['news', 'sports']) {
    chloe.subscribe(channel, () => {});
    world.socket.say({ type: 'subscribed', version: 1, id: world.socket.sent.at(-1).id, channel, position: 'bb:7', recovered: true });
  }
  assert.deepEqual(told, [], 'nothing to recover yet');
  world.socket.die();
  world.pass(250);
  const channels = { '/all': { position: 'aa:0', recovered: true }, news: { position: 'cc:1', recovered: false }, sports: { position: 'bb:9', recovered: true } };
  open(world, { resumed: true, channels });
  assert.deepEqual(told.splice(0), ['/all true', 'news false', 'news gap undefined', 'sports true']);
  world.socket.die();
  world.pass(500);
  open(world, { sessionId: 's2' });
  world.socket.say({ type: 'subscribed', version: 1, id: '3', channel: 'news', position: 'cc:1', recovered: true });
  world.socket.say({ type: 'subscribed', version: 1, id: '4', channel: 'sports', position: 'dd:0', recovered: false });
  assert.deepEqual(told, ['/all true', 'news true', 'sports false', 'sports gap undefined']);
});
