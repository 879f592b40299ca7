// A real Chloe, an app and a Chromium, for the browser tests.
//
// Chloe is the binary in CHLOE_BIN, else target/debug/chloe. The app is a small
// server of this file: it serves pages, keeps what Chloe sends to it, and
// answers through /send as any app would. Ports are the system's choice.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const binary = process.env.CHLOE_BIN ?? here('../../target/debug/chloe');
export const out = here('out');

/** The longest that anything may take before a test fails, in milliseconds. */
export const patience = 20_000;

/** A port that is free now. A server that is to come back on its port needs to know it. */
export async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Chloe in a process of its own. */
export class ChloeProcess {
  constructor(port, flags) {
    this.port = port;
    this.flags = flags;
  }

  async start() {
    // What begins with CHLOE_ is a setting, for Chloe.
    const { CHLOE_BIN: _, ...env } = process.env;
    this.child = spawn(binary, ['--port', String(this.port), '--listen-addresses', '127.0.0.1', ...this.flags], { env });
    this.log = '';
    this.child.stderr.setEncoding('utf8');
    await new Promise((resolve, reject) => {
      this.child.on('exit', (code) => reject(new Error(`chloe ended with ${code}: ${this.log}`)));
      this.child.stderr.on('data', (text) => {
        this.log += text;
        if (this.log.includes('event=listening')) resolve();
      });
    });
    return this;
  }

  async stop(signal = 'SIGTERM') {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = once(this.child, 'exit');
    this.child.kill(signal);
    await ended;
  }

  /** Publishes as curl -d does. */
  async send(form) {
    const answer = await fetch(`http://127.0.0.1:${this.port}/send`, {
      method: 'POST',
      body: new URLSearchParams(form),
    });
    const text = await answer.text();
    if (text !== 'success') throw new Error(`/send said ${answer.status} ${text}`);
  }
}

/** The app: pages by path, and what Chloe brought to /updates. */
export class App {
  constructor() {
    this.taken = [];
    this.pages = new Map();
    /** Called with each message. May publish through /send, and say how to answer: `{ status, json }`. */
    this.onmessage = () => {};
    this.server = http.createServer((request, response) => this.answer(request, response));
  }

  /** Starts, or starts again where it was. */
  async start() {
    this.server.listen(this.port ?? 0, '127.0.0.1');
    await once(this.server, 'listening');
    this.port = this.server.address().port;
    this.origin = `http://localhost:${this.port}`;
    return this;
  }

  async answer(request, response) {
    if (request.method === 'POST') {
      let body = '';
      request.setEncoding('utf8');
      for await (const piece of request) body += piece;
      const message = { data: body, session: request.headers['x-chloe-session'] };
      this.taken.push(message);
      const { status = 200, json } = (await this.onmessage(message)) ?? {};
      if (json === undefined) response.writeHead(status).end();
      else response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(json));
      return;
    }
    const page = this.pages.get(request.url);
    if (page === undefined) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'Content-Type': `${page.type}; charset=utf-8` }).end(page.body);
  }

  page(path, body, type = 'text/html') {
    this.pages.set(path, { body, type });
  }

  /** Waits until the app has taken a message for which `test` holds. */
  async took(test) {
    const deadline = Date.now() + patience;
    for (;;) {
      const found = this.taken.find(test);
      if (found) return found;
      if (Date.now() > deadline) throw new Error(`the app never got it, but ${JSON.stringify(this.taken)}`);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

/** Everything a test needs. */
export class House {
  /** With flags for Chloe, and arguments for the browser. */
  static async open(flags = [], args = []) {
    const house = new House();
    house.app = await new App().start();
    const port = await freePort();
    house.chloe = await new ChloeProcess(port, [
      '--application-server', house.app.origin,
      '--application-server-url', `${house.app.origin}/updates`,
      ...flags,
    ]).start();
    house.browser = await chromium.launch({
      executablePath: process.env.CHROMIUM_BIN ?? '/usr/bin/chromium',
      args: [
        '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
        '--disable-component-update', '--disable-sync', ...args,
      ],
    });
    return house;
  }

  async close() {
    await this.browser.close();
    await this.chloe.stop('SIGKILL');
    this.app.stop();
  }

  /** A page of the app whose body is `html`; its uncaught errors are kept in `page.errors`. */
  async page(html, path = '/') {
    this.app.page(path, html);
    const context = await this.browser.newContext();
    const page = await context.newPage();
    page.setDefaultTimeout(patience);
    page.errors = [];
    page.on('pageerror', (error) => page.errors.push(error.message));
    await page.goto(this.app.origin + path);
    return page;
  }

  /** A page that loads Chloe's own client. Pages that are opened at the same time need a path each. */
  clientPage(port = this.chloe.port, path = '/') {
    return this.page(`<!doctype html><title>test</title><body><script src="http://localhost:${port}/chloe.js"></script>`, path);
  }
}

/** The client of a page: `chloe`, with what came in `got` and the states in `states`. */
export function connect(page, options) {
  return page.evaluate((options) => {
    window.got = [];
    window.states = [];
    window.errors = [];
    window.chloe = new Chloe(options);
    chloe.on('state', (state) => states.push(state));
    chloe.on('error', (error) => errors.push(error.message));
    chloe.onmessage((data) => got.push(data));
    return chloe.connect();
  }, options);
}

/** Waits until `count` messages have come, and returns them. */
export async function got(page, count, name = 'got') {
  await page.waitForFunction(([name, count]) => window[name].length >= count, [name, count]);
  return page.evaluate((name) => window[name], name);
}

export const numbers = (count, prefix = '') => Array.from({ length: count }, (_, number) => `${prefix}${number}`);

export const read = (path) => readFileSync(here(path), 'utf8');
