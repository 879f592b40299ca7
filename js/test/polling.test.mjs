import assert from 'node:assert/strict';
import test from 'node:test';
import { World, connected, messageOf } from './world.mjs';

/** A client connected by XHR. */
function byXhr() {
  const world = new World();
  const chloe = new world.Chloe({ transports: ['xhr'] });
  const heard = [];
  const errors = [];
  chloe.onmessage((data) => heard.push(data));
  chloe.on('error', (error) => errors.push(error.code));
  chloe.connect();
  world.request('connect').answer(200, connected());
  return { world, chloe, heard, errors };
}

/** A client connected by JSONP. */
function byJsonp() {
  const world = new World();
  const chloe = new world.Chloe({ transports: ['jsonp'] });
  const heard = [];
  const errors = [];
  chloe.onmessage((data) => heard.push(data));
  chloe.on('error', (error) => errors.push(error.code));
  chloe.connect();
  world.respond(world.tag('connect'), connected({ id: 1 }));
  return { world, chloe, heard, errors };
}

const accepted = (id) => ({ type: 'accepted', version: 1, id });
const delivery = (data, offset, more = {}) => ({ data, version: 1, channel: '/all', offset, ...more });

test('xhr: simple requests, the session and the positions in each poll', () => {
  const { world, chloe, heard } = byXhr();
  assert.equal(chloe.transport, 'xhr');
  const poll = world.request('poll');
  for (const { method, url, headers } of world.requests) {
    assert.deepEqual([method, url], ['POST', 'http://chloe.test:8901/chloe/xhr'], 'logs keep URLs: no session in them');
    assert.deepEqual(headers, { 'Content-Type': 'application/x-www-form-urlencoded; charset=utf-8' }, 'no preflight');
  }
  assert.equal(poll.timeout, 35000);
  assert.deepEqual(poll.message, { type: 'poll', version: 1, sessionId: 's1', wait: 25000, positions: { '/all': 'aa:0' }, batch: 0 });
  poll.answer(200, { messages: [delivery('a', 1), delivery('b', 2)] });
  assert.deepEqual(heard, ['a', 'b']);
  assert.deepEqual(world.request('poll').message.positions, { '/all': 'aa:2' });
});

test('xhr: blanks ahead of the JSON are no matter, and an empty answer is asked again, not in a storm', () => {
  const { world, heard } = byXhr();
  world.request('poll').answer(200, '   {"messages":[{"data":"a","channel":"/all","offset":1}]}');
  assert.deepEqual(heard, ['a']);
  world.pass(25000);
  world.request('poll').answer(200, { messages: [] });
  assert.equal(world.open.length, 1);
  world.request('poll').answer(200, { messages: [] });
  assert.equal(world.open.length, 0, 'it came back at once');
  world.pass(500);
  assert.equal(world.open.length, 1);
});

test('xhr: one message at a time, in order, beside the poll', () => {
  const { world, chloe } = byXhr();
  chloe.send('1');
  chloe.subscribe('news', () => {});
  chloe.send('2');
  assert.deepEqual(world.open.map((request) => request.message.type), ['poll', 'message', 'channel-subscribe']);
  assert.deepEqual(world.open[1].message, { type: 'message', version: 1, id: '1', sessionId: 's1', data: '1' });
  world.request('message').answer(200, accepted('1'));
  assert.equal(world.request('message'), undefined, 'the subscription comes first');
  world.request('channel-subscribe').answer(200, { type: 'subscribed', version: 1, id: '2', channel: 'news', position: 'bb:7', recovered: true });
  assert.equal(world.request('message').message.data, '2');
});

test('xhr: a delivery may overtake the answer to its subscription', () => {
  const { world, chloe } = byXhr();
  const news = [];
  chloe.subscribe('news', (data) => news.push(data));
  world.request('poll').answer(200, { messages: [delivery('x', 8, { channel: 'news' })] });
  world.request('channel-subscribe').answer(200, { type: 'subscribed', version: 1, id: '1', channel: 'news', position: 'bb:7', recovered: true });
  world.request('poll').answer(200, { messages: [delivery('x', 8, { channel: 'news' }), delivery('y', 9, { channel: 'news' })] });
  assert.deepEqual(news, ['x', 'y']);
  assert.equal(world.request('poll').message.positions.news, 'bb:9');
});

test('xhr: each poll says which answer came last, and a connection begins anew', () => {
  const { world } = byXhr();
  const asked = [];
  const answer = (status, body) => {
    asked.push(world.request('poll').message.batch);
    world.request('poll').answer(status, body);
  };
  answer(200, { messages: [delivery('a', 1)], batch: 3 });
  world.pass(25000);
  answer(200, { messages: [] });
  answer(200, { messages: [delivery('b', 2)], batch: 4 });
  answer(0);
  world.pass(250);
  world.request('connect').answer(200, connected({ resumed: true }));
  answer(200, { messages: [] });
  assert.deepEqual(asked, [0, 3, 3, 4, 0]);
});

/** What is told when a delivery of news came, and the connection broke before the answer to its subscription. */
function overtaken(more) {
  const { world, chloe, errors } = byXhr();
  const told = [];
  chloe.on('gap', ({ channel }) => told.push(channel));
  chloe.subscribe('news', (data) => told.push(data));
  world.request('poll').answer(200, { messages: [delivery('x', 8, { channel: 'news' })] });
  world.request('poll').answer(0);
  world.pass(250);
  world.request('connect').answer(200, connected(more));
  return { world, told, errors };
}

test('xhr: an offset of an unknown epoch is kept if the answer is not ahead of it', () => {
  for (const [position, expected, next] of [
    ['bb:7', ['x'], 'bb:8'],
    ['bb:8', ['x'], 'bb:8'],
    ['bb:9', ['x', 'news'], 'bb:9'],
  ]) {
    const { world, told } = overtaken({ resumed: true, channels: { news: { position, recovered: false } } });
    assert.deepEqual(told, expected);
    assert.equal(world.request('poll').message.positions.news, next);
  }
});

test('xhr: an offset of an unknown epoch does not outlive its session', () => {
  const { world, told } = overtaken({ resumed: false, sessionId: 's2' });
  const asked = world.request('channel-subscribe');
  assert.equal(asked.message.since, undefined);
  asked.answer(200, { type: 'subscribed', version: 1, id: asked.message.id, channel: 'news', position: 'cc:2', recovered: true });
  world.request('poll').answer(200, { messages: [delivery('y', 3, { channel: 'news' })] });
  assert.deepEqual(told, ['x', 'y']);
});

test('xhr: the first of another life is no repetition, though the life before has no name', () => {
  const { world, chloe } = byXhr();
  const news = [];
  chloe.subscribe('news', (data) => news.push(data));
  world.request('poll').answer(200, { messages: [delivery('x', 8, { channel: 'news' })] });
  world.request('poll').answer(200, { messages: [delivery('y', 1, { channel: 'news', epoch: 'cc' })] });
  assert.deepEqual(news, ['x', 'y']);
});

test('jsonp: the refusal of an unsubscription is told as well', () => {
  const { world, chloe, errors } = byJsonp();
  chloe.subscribe('news', () => {});
  world.respond(world.tag('channel-subscribe'), { type: 'subscribed', version: 1, id: '1', channel: 'news', position: 'bb:7', recovered: true });
  chloe.unsubscribe('news');
  const { id } = messageOf(world.tag('channel-unsubscribe').src);
  world.respond(world.tag('channel-unsubscribe'), { type: 'error', id, code: 'no', message: 'No.' });
  assert.deepEqual(errors, ['no']);
});

test('xhr: no request names its session in the URL, however short or long', () => {
  const { world, chloe } = byXhr();
  const channels = Object.fromEntries(Array.from({ length: 60 }, (_, i) => ['channel' + i, { position: 'aa:' + i, recovered: true }]));
  Object.keys(channels).forEach((channel) => chloe.subscribe(channel, () => {}));
  world.request('poll').answer(0);
  world.pass(250);
  world.request('connect').answer(200, connected({ resumed: true, channels }));
  const poll = world.request('poll');
  assert.equal(messageOf(poll.body).positions.channel59, 'aa:59');
  chloe.send('one');
  chloe.unsubscribe('channel1');
  const types = new Set(world.requests.map(({ message }) => message.type));
  assert.deepEqual([...types].sort(), ['channel-subscribe', 'channel-unsubscribe', 'connect', 'message', 'poll']);
  world.requests.forEach(({ url }) => assert.equal(url, 'http://chloe.test:8901/chloe/xhr'));
});

test('xhr: an unknown session is opened anew, with the positions and without a message lost', () => {
  const { world, chloe, errors } = byXhr();
  const gone = { type: 'error', version: 1, code: 'unknown_session', message: 'Gone.', temporary: false };
  chloe.subscribe('news', () => {});
  world.request('channel-subscribe').answer(200, { type: 'subscribed', version: 1, id: '1', channel: 'news', position: 'aa:0', recovered: true });
  chloe.send('kept');
  world.request('message').answer(404, gone);
  assert.equal(world.request('poll'), undefined, 'the poll is given up');
  assert.deepEqual(world.request('connect').message, { type: 'connect', version: 1, positions: { '/all': 'aa:0', news: 'aa:0' } });
  world.request('connect').answer(200, connected({ sessionId: 's2' }));
  assert.equal(world.request('poll'), undefined, 'the poll waits for what is restored');
  assert.equal(world.request('message'), undefined, 'and so does the message');
  world.request('channel-subscribe').answer(200, { type: 'subscribed', version: 1, id: '3', channel: 'news', position: 'bb:0', recovered: true });
  const { sessionId, id, data } = world.request('message').message;
  assert.deepEqual([sessionId, id, data], ['s2', '2', 'kept']);
  world.request('poll').answer(404, gone);
  assert.equal(chloe.state, 'waiting');
  assert.deepEqual(errors, []);
});

test('xhr: a refused message is told and does not hold up the rest; others are tried again', () => {
  const { world, chloe, errors } = byXhr();
  chloe.send('1');
  chloe.send('2');
  world.request('message').answer(413, { type: 'error', version: 1, id: '1', code: 'too_long', message: 'Shorter.', temporary: false });
  assert.deepEqual(errors, ['too_long']);
  for (const status of [503, 429]) {
    world.request('message').answer(status, 'Full.');
    assert.equal(world.request('message'), undefined, 'not at once');
    world.pass(500);
    assert.equal(world.request('message').message.data, '2');
  }
  assert.equal(chloe.state, 'connected');
  world.request('message').answer(0);
  assert.equal(chloe.state, 'waiting');
  world.pass(20000);
  world.request('connect').answer(200, connected({ resumed: true }));
  world.request('message').answer(400, 'Not Found');
  assert.deepEqual(errors, ['too_long', 'http_400']);
  assert.equal(chloe.state, 'connected');
});

test('xhr: a message for which there is no room is sent again, not sooner than Retry-After says', () => {
  const { world, chloe, errors } = byXhr();
  chloe.send('1');
  const busy = { type: 'error', version: 1, id: '1', code: 'app_busy', message: 'Later.', temporary: true };
  world.request('message').answer(429, busy, { 'Retry-After': '3' });
  world.pass(2999);
  assert.equal(world.request('message'), undefined);
  world.pass(501);
  world.request('message').answer(503, 'Down.', { 'Retry-After': 'Tue, 14 Nov 2023 22:13:30 GMT' });
  world.pass(1000);
  world.request('message').answer(200, accepted('1'));
  assert.deepEqual([errors, chloe.state], [[], 'connected']);
});

test('xhr: a message that never gets an answer is given up, so that it cannot stop the rest', () => {
  const { world, chloe, errors } = byXhr();
  chloe.send('poison');
  chloe.send('next');
  for (let i = 0; i < 5; i++) {
    assert.equal(world.request('message').message.data, 'poison');
    world.request('message').answer(0);
    world.pass(20000);
    world.request('connect').answer(200, connected({ resumed: true }));
  }
  assert.equal(world.request('message').message.data, 'next');
  assert.deepEqual(errors, ['not_sent']);
});

test('xhr: what cannot be sent fast enough is bounded', () => {
  const { chloe, errors } = byXhr();
  for (let i = 0; i < 1001; i++) chloe.send('m' + i);
  assert.deepEqual(errors, ['queue_full']);
});

test('jsonp: a poll whose positions no URL can hold goes without them', () => {
  const { world, chloe } = byJsonp();
  const channels = Object.fromEntries(Array.from({ length: 100 }, (_, i) => ['a channel with quite a long name, and more than that ' + i, { position: 'aa:' + i, recovered: true }]));
  Object.keys(channels).forEach((channel) => chloe.subscribe(channel, () => {}));
  world.tag('poll').onerror();
  world.pass(250);
  world.respond(world.tag('connect'), connected({ id: 2, resumed: true, channels }));
  assert.deepEqual(messageOf(world.tag('poll').src).positions, {});
});

test('jsonp: what the tags ask, and that they are removed', () => {
  const { world, chloe, heard } = byJsonp();
  assert.match(world.scripts[0].src, /^http:\/\/chloe\.test:8901\/chloe\/jsonp\.js\?data=[^&]*&ts=[\d.]+$/);
  assert.deepEqual(messageOf(world.scripts[0].src), { type: 'connect', version: 1, positions: {}, id: 1 });
  assert.equal(world.tags.length, 1);
  const poll = messageOf(world.tag('poll').src);
  assert.deepEqual(poll, { type: 'poll', version: 1, sessionId: 's1', wait: 25000, positions: { '/all': 'aa:0' }, batch: 0, id: 1 });
  world.respond(world.tag('poll'), { type: 'poll', id: 1, version: 1, messages: [delivery('a', 1), delivery('b', 2)] });
  assert.deepEqual(heard, ['a', 'b']);
  chloe.send('hi');
  world.run(world.tag('message'), '');
  assert.equal(world.tags.length, 1);
  assert.equal(new Set(world.scripts.map((script) => script.src)).size, world.scripts.length);
});

test('jsonp: no poll holds up the loading of the page', () => {
  const start = () => {
    const world = new World();
    world.globals.document.readyState = 'interactive';
    new world.Chloe({ transports: ['jsonp'] }).connect();
    world.respond(world.tag('connect'), connected({ id: 1 }));
    assert.equal(world.tags.length, 0);
    return world;
  };
  const world = start();
  world.fire('load');
  world.pass(0);
  assert.ok(world.tag('poll'));
  world.pass(6000);
  assert.equal(world.tags.length, 1);
  const slow = start();
  slow.pass(5000);
  assert.ok(slow.tag('poll'));
});

test('jsonp: answers find their connection and their request by id', () => {
  const { world, chloe, errors } = byJsonp();
  const other = new world.Chloe({ transports: ['jsonp'] });
  other.connect();
  world.respond(world.tag('connect'), connected({ id: 2, sessionId: 's2' }));
  other.subscribe('news', () => {});
  chloe.subscribe('sports', () => {});
  const subscribes = world.tags.map((tag) => messageOf(tag.src)).filter((message) => message.type === 'channel-subscribe');
  assert.deepEqual(subscribes.map((message) => [message.id, message.sessionId]), [['1', 's2'], ['1', 's1']]);
  world.respond(world.tags.find((tag) => tag.src.includes('sports')), { type: 'error', id: '1', code: 'no', message: 'No.' });
  assert.deepEqual(errors, ['no']);
});

test('jsonp: the old ways of an answer still work', () => {
  const { world, heard } = byJsonp();
  const packed = (data, offset) => JSON.stringify(JSON.stringify(delivery(data, offset)));
  const calls = [1, 2].map((offset) => `Chloe.JsonpTransport.connections[1].callbacks.onmessage(${packed('m' + offset, offset)});`);
  world.pass(1000);
  world.run(world.tag('poll'), calls.join('') + 'Chloe.JsonpTransport.connections[1].listenForMessages();');
  assert.deepEqual(heard, ['m1', 'm2']);
  assert.equal(messageOf(world.tag('poll').src).positions['/all'], 'aa:2');
});

test('jsonp: errors, failing scripts and scripts that never come', () => {
  const { world, chloe, errors } = byJsonp();
  chloe.send('kept');
  world.tag('message').onerror();
  assert.deepEqual([chloe.state, world.tags.length], ['waiting', 0]);
  world.pass(250);
  world.respond(world.tag('connect'), connected({ id: 2, resumed: true }));
  assert.equal(messageOf(world.tag('message').src).data, 'kept');
  world.run(world.tag('message'), '');
  world.respond(world.tag('poll'), { type: 'error', id: 2, code: 'unknown_session', message: 'Gone.' });
  world.pass(500);
  const connect = messageOf(world.tag('connect').src);
  assert.equal(connect.sessionId, undefined);
  world.respond(world.tag('connect'), connected({ id: connect.id }));
  world.pass(34999);
  assert.equal(chloe.state, 'connected');
  world.pass(1);
  assert.equal(chloe.state, 'waiting');
  assert.deepEqual(errors, []);
});

test('jsonp: late scripts of a closed connection find something that ignores them', () => {
  const { world, chloe, heard } = byJsonp();
  const poll = world.tag('poll');
  chloe.disconnect();
  poll.onload = () => {};
  world.run(poll, 'Chloe.JsonpTransport.connections[1].callbacks.onmessage("{}");Chloe.JsonpTransport.connections[1].listenForMessages();');
  world.respond(poll, { type: 'poll', id: 1, messages: [delivery('late', 1)] });
  assert.deepEqual([heard, world.tags], [[], []]);
  world.pass(60000);
  assert.deepEqual(Object.keys(world.Chloe.JsonpTransport.connections), []);
  assert.doesNotThrow(() => world.Chloe.JsonpTransport.response({ type: 'poll', id: 7 }));
});

test('jsonp: a message that no URL can hold is refused with a sentence, and the next goes on', () => {
  const { world, chloe, errors } = byJsonp();
  chloe.send('x'.repeat(9000));
  chloe.send('short');
  world.pass(0);
  assert.deepEqual(errors, ['too_long']);
  assert.equal(messageOf(world.tag('message').src).data, 'short');
});

test('xhr: a poll names no moment, and an offset behind one outlives its session if nothing was lost', () => {
  for (const [recovered, expected] of [
    [true, ['x', 'z']],
    [false, ['x', 'gap', 'z']],
  ]) {
    const { world, chloe } = byXhr();
    const told = [];
    chloe.on('gap', () => told.push('gap'));
    chloe.subscribe('news', (data) => told.push(data), { since: '00000000ab-7' });
    world.request('poll').answer(200, { messages: [delivery('x', 3, { channel: 'news' })] });
    const poll = world.request('poll');
    assert.equal(poll.message.positions.news, undefined);
    poll.answer(0);
    world.pass(250);
    world.request('connect').answer(200, connected({ resumed: false, sessionId: 's2' }));
    const asked = world.request('channel-subscribe');
    assert.equal(asked.message.since, '00000000ab-7');
    const position = recovered ? 'bb:2' : 'cc:3';
    asked.answer(200, { type: 'subscribed', version: 1, id: asked.message.id, channel: 'news', position, recovered });
    world.request('poll').answer(200, { messages: [delivery('x', 3, { channel: 'news' }), delivery('z', 4, { channel: 'news' })] });
    assert.deepEqual(told, expected);
    assert.equal(world.request('poll').message.positions.news, recovered ? 'bb:4' : 'cc:4');
  }
});
