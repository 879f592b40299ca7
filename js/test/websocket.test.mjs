import assert from 'node:assert/strict';
import test from 'node:test';
import { World, connected } from './world.mjs';

/** A client that is connected by WebSocket. */
function start(options = {}, answer = connected()) {
  const world = new World();
  const chloe = new world.Chloe(options);
  const heard = [];
  chloe.onmessage((data) => heard.push(data));
  chloe.connect();
  world.socket.open();
  world.socket.say(answer);
  return { world, chloe, heard };
}

const delivery = (data, offset, more = {}) => ({ data, version: 1, channel: '/all', offset, ...more });

test('connects with positions, and tells state, transport, callback and promise', async () => {
  const world = new World();
  const chloe = new world.Chloe();
  const states = [];
  let called = 0;
  chloe.on('state', (state) => states.push(state + ':' + chloe.transport));
  const promise = chloe.connect(() => called++);
  assert.equal(world.socket.url, 'ws://chloe.test:8901/chloe/websocket');
  assert.deepEqual(world.socket.sent, []);
  world.socket.open();
  assert.deepEqual(world.socket.sent, [{ type: 'connect', version: 1, positions: {} }]);
  assert.equal(called, 0);
  world.socket.say(connected());
  await promise;
  assert.equal(called, 1);
  assert.deepEqual(states, ['connecting:null', 'connected:websocket']);
});

test('sends strings, and nothing else', () => {
  const { world, chloe } = start();
  chloe.send('hi');
  chloe.send('half a \ud83d pair, a whole \ud83d\ude00');
  assert.deepEqual(world.socket.sent.slice(1), [
    { type: 'message', version: 1, id: '1', data: 'hi' },
    { type: 'message', version: 1, id: '2', data: 'half a \ufffd pair, a whole \ud83d\ude00' },
  ]);
  assert.throws(() => chloe.send({ a: 1 }), /JSON.stringify/);
});

test('names that are no text do not become one', () => {
  const { world, chloe } = start();
  for (const name of ['a\ud83d', 'a\ude00', '\ude00\ud83d']) {
    assert.throws(() => chloe.subscribe(name, () => {}), /surrogate/);
  }
  chloe.subscribe('a\ud83d\ude00', () => {});
  assert.deepEqual(
    world.socket.sent.slice(1).map((message) => message.channel),
    ['a\ud83d\ude00'],
  );
});

test('a message goes to the callbacks of its channel, any other to onmessage', () => {
  const { world, chloe, heard } = start();
  const news = [];
  const every = [];
  const first = (data) => news.push('first ' + data);
  chloe.subscribe('news', first);
  chloe.subscribe('news', first);
  chloe.subscribe('news', (data, message) => news.push(`second ${data} ${message.channel} ${message.offset}`));
  chloe.on('message', (data) => every.push(data));
  const asked = world.socket.sent.slice(1);
  assert.deepEqual(asked, [{ type: 'channel-subscribe', version: 1, id: '1', channel: 'news' }]);
  world.socket.say({ type: 'subscribed', version: 1, id: '1', channel: 'news', position: 'bb:7', recovered: true });
  world.socket.say(delivery('a', 8, { channel: 'news' }), delivery('b', 1), delivery({ c: 1 }, 9, { channel: 'other', direct: true }));
  assert.deepEqual(news, ['first a', 'second a news 8']);
  assert.deepEqual(JSON.stringify(heard), '["b",{"c":1}]');
  assert.equal(every.length, 3);
});

test('unknown types and signs of life are nobody\'s message', () => {
  const { world, heard } = start();
  world.socket.say({ type: 'heartbeat', version: 1 }, { type: 'novelty', data: 'x' }, '', 'no json', '[1]', '{}');
  assert.deepEqual(heard, []);
});

test('what was seen is not delivered again', () => {
  const { world, heard } = start();
  world.socket.say(delivery('a', 1), delivery('a', 1), delivery('b', 2), delivery('a', 1));
  assert.deepEqual(heard, ['a', 'b']);
  world.socket.say(delivery('new epoch', 1, { epoch: 'cc' }), delivery('new epoch', 1));
  assert.deepEqual(heard, ['a', 'b', 'new epoch']);
});

test('a message to this browser alone goes by its channel, and counts as /session', () => {
  const { world, chloe, heard } = start();
  const news = [];
  chloe.subscribe('news', (data, message) => news.push([data, message.direct]));
  world.socket.say({ type: 'subscribed', version: 1, id: '1', channel: 'news', position: 'bb:7', recovered: true });
  world.socket.say(delivery('for you', 1, { direct: true, epoch: 'dd' }), delivery('news for you', 2, { direct: true, channel: 'news' }));
  assert.deepEqual(heard, ['for you']);
  assert.deepEqual(news, [['news for you', true]]);
  world.socket.die();
  world.pass(250);
  world.socket.open();
  assert.deepEqual(world.socket.sent[0].positions, { '/all': 'aa:0', '/session': 'dd:2', news: 'bb:7' });
});

test('unsubscribe: one callback, then the channel; what is still under way is dropped', () => {
  const { world, chloe, heard } = start();
  const news = [];
  const one = (data) => news.push(data);
  chloe.subscribe('news', one);
  chloe.subscribe('news', () => {});
  chloe.unsubscribe('news', one);
  assert.equal(world.socket.sent.length, 2);
  chloe.unsubscribe('news');
  chloe.unsubscribe('never there');
  assert.deepEqual(world.socket.sent.at(-1), { type: 'channel-unsubscribe', version: 1, id: '2', channel: 'news' });
  world.socket.say(delivery('late', 1, { channel: 'news' }));
  assert.deepEqual([news, heard], [[], []]);
});

test('a channel may be joined without a callback: its messages go to onmessage', () => {
  const { world, chloe, heard } = start();
  chloe.subscribe('news');
  assert.equal(world.socket.sent.at(-1).channel, 'news');
  world.socket.say(delivery('a', 1, { channel: 'news' }));
  assert.deepEqual(heard, ['a']);
});

test('what comes before the answer to connect is not ours', () => {
  const world = new World();
  const chloe = new world.Chloe();
  const heard = [];
  chloe.onmessage((data) => heard.push(data));
  chloe.connect();
  world.socket.open();
  world.socket.say(delivery('to another session', 9), connected(), delivery('to us', 1));
  assert.deepEqual(heard, ['to us']);
});

test('a listener of gap may disconnect while the connection is being restored', () => {
  const { world, chloe } = start();
  chloe.on('error', () => {});
  chloe.subscribe('news', () => {});
  world.socket.die();
  world.pass(250);
  world.socket.open();
  chloe.on('gap', () => chloe.disconnect());
  world.socket.say(connected({ channels: { '/all': { position: 'ff:3', recovered: false } } }));
  assert.deepEqual([chloe.state, world.timers.size, world.thrown], ['closed', 0, []]);
});

test('another version is not understood, and a message of ours that breaks a rule is told', () => {
  const { world, chloe, heard } = start();
  const errors = [];
  chloe.on('error', (error) => errors.push(error.code));
  world.socket.say({ ...delivery('x', 1), version: 2 });
  world.socket.die(1009);
  assert.deepEqual([heard, errors], [[], ['version', 'closed_1009']]);
});

test('calls before the connection wait for it, up to a bound', () => {
  const world = new World();
  const chloe = new world.Chloe();
  const errors = [];
  chloe.on('error', (error) => errors.push(error.code));
  chloe.subscribe('news', () => {});
  chloe.connect();
  for (let i = 0; i < 1001; i++) chloe.send('m' + i);
  assert.deepEqual(errors, ['queue_full']);
  world.socket.open();
  world.socket.say(connected());
  const { sent } = world.socket;
  for (let i = 2; i < sent.length; i++) world.socket.say({ type: 'accepted', version: 1, id: sent[i].id });
  assert.equal(sent.length, 1 + 1 + 1000);
  assert.deepEqual([sent[1].channel, sent[2].data, sent.at(-1).data], ['news', 'm0', 'm999']);
});

test('reconnects with its session and positions; a session that lives keeps its subscriptions', () => {
  const { world, chloe } = start();
  chloe.subscribe('news', () => {});
  world.socket.say({ type: 'subscribed', version: 1, id: '1', channel: 'news', position: 'bb:7', recovered: true });
  world.socket.say(delivery('x', 8, { channel: 'news' }));
  world.socket.die();
  assert.equal(chloe.state, 'waiting');
  chloe.send('meanwhile');
  world.pass(249);
  assert.equal(world.sockets.length, 1);
  world.pass(1);
  world.socket.open();
  assert.deepEqual(world.socket.sent[0], {
    type: 'connect',
    version: 1,
    sessionId: 's1',
    positions: { '/all': 'aa:0', news: 'bb:8' },
  });
  const channels = { '/all': { position: 'aa:0', recovered: true }, news: { position: 'bb:8', recovered: true }, old: { position: 'ee:1' } };
  world.socket.say(connected({ resumed: true, channels }));
  assert.deepEqual(world.socket.sent.slice(1), [
    { type: 'channel-unsubscribe', version: 1, id: '3', channel: 'old' },
    { type: 'message', version: 1, id: '2', data: 'meanwhile' },
  ]);
});

test('a fresh session gets the subscriptions again, each from where it was; what is lost is told', () => {
  const { world, chloe } = start();
  const gaps = [];
  chloe.on('gap', (gap) => gaps.push(gap.channel + ' ' + gap.missed));
  chloe.subscribe('news', () => {});
  world.socket.say({ type: 'subscribed', version: 1, id: '1', channel: 'news', position: 'bb:7', recovered: true });
  world.socket.die();
  world.pass(250);
  world.socket.open();
  world.socket.say(connected({ sessionId: 's2', channels: { '/all': { position: 'ff:3', recovered: false } } }));
  assert.deepEqual(world.socket.sent[1], { type: 'channel-subscribe', version: 1, id: '2', channel: 'news', since: 'bb:7' });
  world.socket.say({ type: 'subscribed', version: 1, id: '2', channel: 'news', position: 'gg:0', recovered: false });
  world.socket.say({ type: 'gap', version: 1, channel: 'news', missed: 3, position: 'gg:3' });
  assert.deepEqual(gaps, ['/all undefined', 'news undefined', 'news 3']);
  const news = [];
  chloe.subscribe('news', (data) => news.push(data));
  world.socket.say(delivery('seen', 3, { channel: 'news' }), delivery('unseen', 4, { channel: 'news' }));
  assert.deepEqual(news, ['unseen']);
});

test('a recovered position behind ours does not bring us back', () => {
  const { world, heard } = start();
  world.socket.say(delivery('a', 1), delivery('b', 2));
  world.socket.die();
  world.pass(250);
  world.socket.open();
  world.socket.say(connected({ resumed: true, channels: { '/all': { position: 'aa:9', recovered: true } } }));
  world.socket.say(delivery('c', 3));
  assert.deepEqual(heard, ['a', 'b', 'c']);
});

test('an error of a subscription names its channel, and is retried if it may pass', () => {
  const { world, chloe } = start();
  const errors = [];
  chloe.on('error', (error) => errors.push([error.code, error.channel, error.temporary, error.message]));
  chloe.subscribe('full', () => {});
  chloe.subscribe('secret', () => {});
  world.socket.say({ type: 'error', version: 1, id: '1', code: 'too_many', message: 'Later.', temporary: true });
  world.socket.say({ type: 'error', version: 1, id: '2', code: 'no', message: 'Never.', temporary: false });
  assert.deepEqual(errors, [['too_many', 'full', true, 'Later.'], ['no', 'secret', false, 'Never.']]);
  world.pass(10000);
  assert.deepEqual(world.socket.sent.slice(3).map((message) => message.channel), ['full']);
});

test('a callback that throws breaks nothing, and shows', () => {
  const { world, chloe, heard } = start();
  const errors = [];
  chloe.on('error', (error) => {
    errors.push(error.message);
    throw new Error('a listener too');
  });
  chloe.on('message', () => {
    throw new Error('ouch');
  });
  world.socket.say(delivery('a', 1), delivery('b', 2));
  assert.deepEqual(heard, ['a', 'b']);
  assert.deepEqual(errors, ['ouch', 'ouch']);
  world.pass(0);
  assert.deepEqual(world.thrown.map((error) => error.message).sort(), ['a listener too', 'a listener too', 'ouch', 'ouch']);
});

test('a socket that is silent for two heartbeats and some is dead', () => {
  const { world, chloe } = start();
  world.pass(54999);
  world.socket.say({ type: 'heartbeat', version: 1 });
  world.pass(54999);
  assert.equal(chloe.state, 'connected');
  world.pass(1);
  assert.equal(chloe.state, 'waiting');
  assert.equal(world.sockets[0].readyState, 2);
});

test('what is sent while the socket closes goes with the next one', () => {
  const { world, chloe } = start();
  world.socket.readyState = 2;
  chloe.send('kept');
  world.socket.die();
  world.pass(250);
  world.socket.open();
  world.socket.say(connected());
  assert.equal(world.socket.sent.at(-1).data, 'kept');
});

test('a channel is wanted from a moment of the server until its own position is known', () => {
  const { world, chloe } = start();
  const told = [];
  chloe.on('recovered', ({ channel, recovered }) => told.push(channel + ' ' + recovered));
  chloe.subscribe('news', (data) => told.push(data), { since: '00000000ab-7' });
  assert.equal(world.socket.sent[1].since, '00000000ab-7');
  assert.equal(chloe.position('news'), '00000000ab-7');
  world.socket.die();
  world.pass(250);
  world.socket.open();
  assert.equal(world.socket.sent[0].positions.news, '00000000ab-7');
  world.socket.say(connected({ channels: { news: { position: 'bb:2', recovered: true } } }));
  world.socket.say(delivery('a', 3, { channel: 'news' }));
  assert.deepEqual(told, ['news true', 'a']);
  assert.equal(chloe.position('news'), 'bb:3');
});
