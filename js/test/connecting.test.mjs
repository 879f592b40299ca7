import assert from 'node:assert/strict';
import test from 'node:test';
import { World, connected } from './world.mjs';

test('each transport in turn: one that is never answered counts as broken, and what worked comes first next time', () => {
  const storage = new Map();
  const world = new World({ storage });
  const chloe = new world.Chloe();
  chloe.connect();
  world.socket.open();
  world.pass(3999);
  assert.equal(world.requests.length, 0);
  world.pass(1);
  assert.equal(world.sockets[0].readyState, 2, 'the socket is given up');
  world.request('connect').answer(502, 'Bad gateway');
  assert.equal(chloe.state, 'connecting');
  world.respond(world.tag('connect'), connected({ id: 1 }));
  assert.equal(chloe.transport, 'jsonp');

  const next = new World({ storage });
  new next.Chloe().connect();
  assert.deepEqual([next.sockets.length, next.tags.length], [0, 1]);
  next.pass(4000);
  assert.equal(next.sockets.length, 1, 'the others are tried after it');

  const later = new World({ storage });
  later.nowMs += 305000;
  new later.Chloe().connect();
  assert.equal(later.sockets.length, 1, 'and it is not remembered for good');
});

test('only what the browser has, and the page wants, is tried', () => {
  const world = new World({ without: ['WebSocket'] });
  new world.Chloe().connect();
  assert.equal(world.open.length, 1);
  const { Chloe } = world;
  assert.deepEqual([Chloe.WebSocketTransport.isEnabled(), Chloe.XhrTransport.isEnabled(), Chloe.JsonpTransport.isEnabled()], [false, true, true]);
  new Chloe({ transports: [Chloe.JsonpTransport] }).connect();
  assert.equal(world.tags.length, 1);
  new Chloe({ transports: ['jsonp'] }).connect();
  assert.equal(world.tags.length, 2);
  assert.throws(() => new Chloe({ transports: ['pigeon'] }), /pigeon/);
});

test('waits longer and longer, with jitter, and knows its bounds', () => {
  const world = new World();
  world.random = 1;
  const chloe = new world.Chloe({ transports: ['websocket'] });
  chloe.on('error', () => {});
  chloe.connect();
  const waits = [];
  for (let i = 0; i < 8; i++) {
    world.socket.die();
    const before = world.sockets.length;
    let ms = 0;
    for (; world.sockets.length === before; ms += 500) world.pass(500);
    waits.push(ms);
  }
  assert.deepEqual(waits, [500, 1000, 2000, 4000, 8000, 16000, 20000, 20000]);
  world.random = 0;
  const before = world.sockets.length;
  world.socket.die();
  world.pass(0);
  assert.equal(world.sockets.length, before + 1);
});

test('a connection has to last for the waits to begin anew', () => {
  const world = new World();
  world.random = 1;
  const chloe = new world.Chloe({ transports: ['websocket'] });
  chloe.connect();
  const wait = (lastedMs) => {
    world.socket.open();
    world.socket.say(connected());
    world.pass(lastedMs);
    world.socket.die();
    const before = world.sockets.length;
    let ms = 0;
    for (; world.sockets.length === before; ms += 500) world.pass(500);
    return ms;
  };
  assert.deepEqual([wait(0), wait(0), wait(0), wait(6000), wait(0)], [500, 1000, 2000, 500, 1000]);
});

for (const event of ['online', 'visibilitychange', 'pageshow']) {
  test(`${event} ends a wait, unless the page is hidden`, () => {
    const world = new World();
    const chloe = new world.Chloe({ transports: ['websocket'] });
    chloe.on('error', () => {});
    chloe.connect();
    world.fire(event);
    const { length } = world.sockets;
    assert.equal(length, event === 'online' ? 2 : 1, 'an attempt under way goes on, but not by another network');
    world.socket.die();
    assert.equal(chloe.state, 'waiting');
    world.visibility = 'hidden';
    world.fire(event);
    assert.equal(world.sockets.length, length);
    world.visibility = 'visible';
    world.fire(event);
    assert.equal(world.sockets.length, length + 1);
    chloe.disconnect();
    assert.equal(world.listeners[event].size, 0);
  });
}

test('what worked is tried alone at first, then the others too; another network begins anew', () => {
  const storage = new Map();
  const world = new World({ storage });
  const chloe = new world.Chloe();
  chloe.connect();
  world.socket.open();
  world.socket.say(connected());
  // The socket, and two attempts after it.
  for (const waitMs of [250, 500, 1000]) {
    world.socket.die();
    assert.equal(chloe.state, 'waiting');
    world.pass(waitMs);
  }
  world.socket.die();
  world.request('connect').answer(200, connected());
  assert.deepEqual([chloe.transport, [...storage.keys()]], ['xhr', ['chloe.transport']]);
  world.request('poll').answer(0);
  world.fire('online');
  assert.equal(storage.size, 0);
  assert.equal(world.socket.readyState, 0, 'a new socket comes first');
});

test('by another network a page connects anew, with the session that it has', () => {
  const world = new World();
  const chloe = new world.Chloe();
  const states = [];
  chloe.connect();
  world.socket.open();
  world.socket.say(connected());
  const session = connected().sessionId;
  chloe.on('state', (state) => states.push(state));
  world.fire('online');
  assert.deepEqual(states, ['waiting', 'connecting']);
  assert.equal(world.sockets.length, 2);
  world.socket.open();
  assert.equal(world.socket.sent[0].sessionId, session);
  world.socket.say(connected());
  assert.deepEqual([chloe.state, world.sockets[0].readyState], ['connected', 2], 'the old one is closing');
});

test('what failed by one network says nothing of the next: neither waits nor time limits are long', () => {
  const world = new World();
  const chloe = new world.Chloe({ transports: ['websocket'] });
  chloe.on('error', () => {});
  chloe.connect();
  for (let failures = 0; failures < 8; failures++) {
    world.socket.die();
    world.pass(20000);
  }
  world.fire('online');
  assert.equal(chloe.state, 'connecting');
  world.pass(3999);
  assert.equal(chloe.state, 'connecting');
  world.pass(1);
  assert.equal(chloe.state, 'waiting');
  world.pass(250);
  assert.equal(chloe.state, 'connecting');
});

test('a page that wakes up does not trust a connection that was silent for too long', () => {
  const world = new World();
  const chloe = new world.Chloe();
  chloe.connect();
  world.socket.open();
  world.socket.say(connected());
  world.nowMs += 54000;
  world.fire('visibilitychange');
  assert.equal(chloe.state, 'connected');
  world.nowMs += 2000;
  world.fire('visibilitychange');
  assert.equal(chloe.state, 'waiting');
});

test('a browser without any transport is told so', async () => {
  const world = new World();
  const chloe = new world.Chloe({ transports: [{ transportName: 'pigeon', isEnabled: () => false }] });
  const errors = [];
  chloe.on('error', (error) => errors.push(error.code));
  await assert.rejects(chloe.connect(), { code: 'no_transport' });
  assert.deepEqual([chloe.state, errors, world.timers.size], ['closed', ['no_transport'], 0]);
});

test('a slow network gets more time at each attempt', () => {
  const world = new World();
  const chloe = new world.Chloe({ transports: ['websocket'], connectTimeoutMs: 100 });
  chloe.on('error', () => {});
  chloe.connect();
  world.pass(100);
  assert.equal(chloe.state, 'waiting');
  world.pass(250);
  world.pass(199);
  assert.equal(chloe.state, 'connecting');
  world.pass(1);
  assert.equal(chloe.state, 'waiting');
});

test('disconnect ends everything and keeps the callbacks; connect takes it up again', async () => {
  const world = new World();
  const chloe = new world.Chloe();
  let closed = 0;
  chloe.onclose(() => closed++);
  chloe.subscribe('news', () => {});
  const promise = chloe.connect();
  chloe.disconnect();
  await assert.rejects(promise, /disconnect\(\) was called/);
  assert.deepEqual([chloe.state, closed, world.timers.size], ['closed', 1, 0]);
  chloe.disconnect();
  assert.equal(closed, 1);
  const again = chloe.connect();
  world.socket.open();
  world.socket.say(connected());
  await again;
  assert.equal(world.socket.sent.at(-1).channel, 'news');
  await chloe.connect();
  assert.equal(world.sockets.length, 2, 'connected is connected');
});

test('a listener may disconnect, and connect, in the middle of anything', () => {
  const world = new World();
  const chloe = new world.Chloe();
  const once = (state, action) => {
    const listener = (now) => {
      if (now !== state) return;
      chloe.off('state', listener);
      action();
    };
    chloe.on('state', listener);
  };
  once('connecting', () => chloe.disconnect());
  chloe.connect();
  assert.deepEqual([chloe.state, world.sockets.length], ['closed', 0]);
  once('connecting', () => {
    chloe.disconnect();
    chloe.connect();
  });
  chloe.connect();
  assert.deepEqual([chloe.state, world.sockets.length], ['connecting', 1]);
  world.socket.open();
  once('connected', () => chloe.disconnect());
  world.socket.say(connected());
  assert.deepEqual([chloe.state, chloe.transport, world.timers.size], ['closed', null, 0]);
});

test('onclose is told once for each loss, connect() callbacks once in all', () => {
  const world = new World();
  const chloe = new world.Chloe({ transports: ['websocket'] });
  let closed = 0;
  let opened = 0;
  chloe.onclose(() => closed++);
  chloe.connect(() => opened++);
  world.socket.die();
  world.pass(20000);
  world.socket.die();
  assert.equal(closed, 1);
  assert.deepEqual(world.logged, ['Chloe: No connection to Chloe at http://chloe.test:8901, or it refuses this page. Trying on.']);
  world.pass(20000);
  world.socket.open();
  world.socket.say(connected());
  world.socket.die();
  world.pass(20000);
  world.socket.open();
  world.socket.say(connected());
  assert.deepEqual([closed, opened], [2, 1]);
});

test('a client that is made in the onclose of another takes its place, and comes in a while', () => {
  const world = new World();
  const clients = [];
  const make = () => {
    const chloe = new world.Chloe({ transports: ['websocket'] });
    clients.push(chloe);
    chloe.on('error', () => {});
    chloe.onclose(make);
    chloe.connect();
  };
  make();
  world.socket.open();
  world.socket.say(connected());
  for (let losses = 1; losses < 5; losses++) {
    world.socket.die();
    assert.deepEqual([clients.length, world.sockets.length, world.timers.size], [losses + 1, losses, 1]);
    world.pass(5000);
    assert.equal(world.sockets.length, losses + 1);
  }
  assert.deepEqual(clients.map((chloe) => chloe.state), ['closed', 'closed', 'closed', 'closed', 'connecting']);
});

test('the calls of a transport that was given up are not heard', () => {
  const world = new World();
  const chloe = new world.Chloe({ transports: ['xhr'] });
  chloe.connect();
  const former = world.request('connect');
  chloe.disconnect();
  former.over = false;
  former.answer(200, connected());
  assert.equal(chloe.state, 'closed');
});

test('host, port and scheme: options, script tag, page', () => {
  const url = (script, options) => {
    const world = new World({ script });
    new world.Chloe(options).connect();
    return world.socket.url.replace('/chloe/websocket', '');
  };
  assert.equal(url('http://chloe.test:8901/chloe.js'), 'ws://chloe.test:8901');
  assert.equal(url('https://chloe.test/chloe-min.js'), 'wss://chloe.test:443');
  assert.equal(url('http://chloe.test/js/chloe.js'), 'ws://chloe.test:80');
  assert.equal(url('http://[::1]:8901/chloe.js'), 'ws://[::1]:8901');
  assert.equal(url('file:///tmp/chloe.js'), 'ws://page.test:8901');
  assert.equal(url(null), 'ws://page.test:8901');
  assert.equal(url('http://page.test/chloe.js', { host: 'a.test' }), 'ws://a.test:8901');
  assert.equal(url('http://page.test/chloe.js', { host: 'a.test', port: 81, https: true }), 'wss://a.test:81');
  assert.equal(url('http://page.test/chloe.js', { port: '8902' }), 'ws://page.test:8902');
});
