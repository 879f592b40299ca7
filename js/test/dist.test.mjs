// The built files: their size, what they define, and what they must not.

import assert from 'node:assert/strict';
import test from 'node:test';
import vm from 'node:vm';
import { gzipSync } from 'node:zlib';
import { files } from '../build.mjs';

const built = await files();

test('chloe-min.js is under 6 KB, gzipped', () => {
  const bytes = gzipSync(built['chloe-min.js'], { level: 9 }).length;
  assert.ok(bytes < 6 * 1024, `${bytes} bytes`);
});

for (const name of ['chloe.js', 'chloe-min.js']) {
  test(`${name} defines Chloe and no other global, with no more than ES2015`, () => {
    const globals = { URL, console };
    globals.self = globals;
    const before = Object.keys(globals);
    vm.runInNewContext(built[name], globals);
    assert.deepEqual(Object.keys(globals).filter((key) => !before.includes(key)), ['Chloe']);
    assert.equal(new globals.Chloe({ host: 'h' }).state, 'closed');
    assert.doesNotMatch(built[name], /\?\.|\?\?|\basync\b(?! ?=)|\.\.\.\w+ ?[},]|\bglobalThis\b|#\w+ ?[;=(]/);
  });
}

test('a second chloe.js takes over the JSONP connections of the first', () => {
  const globals = { URL, console };
  globals.self = globals;
  const context = vm.createContext(globals);
  vm.runInContext(built['chloe.js'], context);
  const { connections } = globals.Chloe.JsonpTransport;
  vm.runInContext(built['chloe-min.js'], context);
  assert.equal(globals.Chloe.JsonpTransport.connections, connections);
});

test('chloe.mjs exports Chloe, and makes no global before it needs one', async () => {
  const module = await import('data:text/javascript,' + encodeURIComponent(built['chloe.mjs']));
  assert.equal(module.default, module.Chloe);
  assert.equal(globalThis.Chloe, undefined);
});
