// The demo page, as `chloe demo` serves it, on a desk and on a phone in the dark. Leaves
// pictures of both in out/.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { House, out, patience, read } from './house.mjs';

let house;
before(async () => {
  house = await House.open();
  mkdirSync(out, { recursive: true });
  house.app.page('/', read('../../src/cli/demo/page.html').replaceAll('{{CHLOE_PORT}}', house.chloe.port));
});
after(() => house.close());

const looks = {
  desk: { viewport: { width: 1200, height: 800 }, colorScheme: 'light' },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: 'dark', deviceScaleFactor: 2, hasTouch: true },
};

for (const [name, look] of Object.entries(looks)) {
  test(`on a ${name}: every control does what it says`, async () => {
    const context = await house.browser.newContext(look);
    const page = await context.newPage();
    page.setDefaultTimeout(patience);
    const errors = [];
    page.on('pageerror', (error) => errors.push(error.message));
    await page.goto(house.app.origin);
    const status = page.getByRole('status');
    await status.getByText('connected by WebSocket').waitFor();
    const messages = page.getByRole('list', { name: 'Messages' }).getByRole('listitem');

    house.app.onmessage = ({ data, session }) => house.chloe.send({ session, data });
    await page.getByLabel('Send to the app').fill('Hello from here');
    await page.getByRole('button', { name: 'Send' }).click();
    await messages.getByText('Hello from here').waitFor();

    await page.getByLabel('Join a channel').fill('pumpkin');
    await page.getByRole('button', { name: 'Join' }).click();
    // What is sent behind a subscription tells when it is there.
    await page.getByLabel('Send to the app').fill('Is anybody in?');
    await page.getByRole('button', { name: 'Send' }).click();
    await messages.getByText('Is anybody in?').waitFor();
    await house.chloe.send({ channel: 'pumpkin', data: 'Trotter' });
    await house.chloe.send({ data: 'This is the message data' });
    await house.chloe.send({ data: 'Only for you.', session: house.app.taken.at(-1).session });
    await messages.getByText('Only for you.').waitFor();
    const tags = await messages.locator('.tag').allTextContents();
    assert.deepEqual(tags, ['to you', 'everyone', 'pumpkin', 'to you', 'to you'], 'newest first');

    const commands = await page.locator('.command code').allTextContents();
    assert.deepEqual(commands, [
      `curl -d "data=This is the message data" http://localhost:${house.chloe.port}/send`,
      `curl -d "channel=pumpkin&data=Trotter" http://localhost:${house.chloe.port}/send`,
    ]);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, 'nothing sticks out');
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    await page.getByRole('button', { name: 'Copy' }).last().click();
    await page.getByRole('button', { name: 'Copied' }).waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), commands[1]);
    await page.getByRole('button', { name: 'Copied' }).waitFor({ state: 'detached' });
    await page.screenshot({ path: `${out}/demo-${name}.png`, fullPage: true, animations: 'disabled' });

    for (const label of ['JSONP', 'XHR', 'WebSocket']) {
      await page.getByRole('radio', { name: label }).click();
      await status.getByText('connected by ' + label).waitFor();
    }
    await page.getByRole('button', { name: 'Clear' }).click();
    assert.equal(await messages.count(), 0);
    await page.getByRole('button', { name: 'pumpkin' }).click();
    assert.equal(await page.getByRole('list', { name: 'Channels joined' }).getByRole('listitem').count(), 0);
    assert.deepEqual(errors, []);
    await context.close();
  });
}

test('without Chloe it says so', async () => {
  const page = await house.browser.newPage();
  await page.route('**/chloe.js', (route) => route.abort());
  await page.goto(house.app.origin);
  await page.getByText(`There is no Chloe at http://localhost:${house.chloe.port}.`).waitFor();
  await page.close();
});
