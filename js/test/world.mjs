// A browser made of paper: a clock that is moved by hand, sockets, requests and script tags that
// do what the test says. The client runs in it as a page would run it, from one built text.

import vm from 'node:vm';
import { files } from '../build.mjs';

/** Which of the built files is tried; all must do the same. */
const FILE = process.env.CHLOE_BUILT ?? 'chloe.js';
const built = await files();
const HOST = 'http://chloe.test:8901';

export class World {
  constructor({ script = HOST + '/chloe.js', without = [], storage = new Map() } = {}) {
    this.nowMs = 1_000_000;
    this.timers = new Map();
    this.timerCount = 0;
    this.sockets = [];
    this.requests = [];
    this.scripts = [];
    this.thrown = [];
    this.logged = [];
    this.listeners = {};
    this.random = 0.5;
    this.visibility = 'visible';
    this.globals = this.makeGlobals(script, storage);
    without.forEach((name) => delete this.globals[name]);
    this.context = vm.createContext(this.globals);
    this.globals.self = this.globals.window = this.globals;
    vm.runInContext(built[FILE], this.context);
    if (this.globals.document) this.globals.document.currentScript = null;
    this.Chloe = this.globals.Chloe;
  }

  makeGlobals(script, storage) {
    const world = this;
    const listen = {
      addEventListener: (name, callback) => (world.listeners[name] ||= new Set()).add(callback),
      removeEventListener: (name, callback) => world.listeners[name]?.delete(callback),
    };
    return {
      ...listen,
      URL,
      Math: { min: Math.min, max: Math.max, pow: Math.pow, random: () => world.random },
      Date: { now: () => world.nowMs },
      location: new URL('http://page.test/'),
      console: { error: (text) => world.logged.push(text) },
      sessionStorage: { getItem: (key) => storage.get(key) ?? null, setItem: (key, value) => storage.set(key, value), removeItem: (key) => storage.delete(key) },
      setTimeout: (callback, ms = 0) => {
        world.timers.set(++world.timerCount, { callback, atMs: world.nowMs + ms });
        return world.timerCount;
      },
      clearTimeout: (id) => world.timers.delete(id),
      WebSocket: socketClass(world),
      XMLHttpRequest: requestClass(world),
      document: {
        ...listen,
        currentScript: script ? { src: script, getAttribute: () => null } : null,
        readyState: 'complete',
        get visibilityState() {
          return world.visibility;
        },
        createElement: () => ({ attributes: {}, setAttribute(k, v) { this.attributes[k] = v; }, getAttribute(k) { return this.attributes[k] ?? null; } }),
        head: {
          appendChild(element) {
            element.parentNode = this;
            element.remove = () => (element.parentNode = null);
            world.scripts.push(element);
          },
        },
      },
    };
  }

  /** Lets `ms` pass, one timer after the other. What a timer throws is kept in `thrown`. */
  pass(ms) {
    const untilMs = this.nowMs + ms;
    for (;;) {
      const due = [...this.timers].filter(([, timer]) => timer.atMs <= untilMs).sort((a, b) => a[1].atMs - b[1].atMs)[0];
      if (!due) break;
      this.timers.delete(due[0]);
      this.nowMs = Math.max(this.nowMs, due[1].atMs);
      try {
        due[1].callback();
      } catch (error) {
        this.thrown.push(error);
      }
    }
    this.nowMs = untilMs;
  }

  fire(name) {
    [...(this.listeners[name] ?? [])].forEach((callback) => callback({ type: name }));
  }

  get socket() {
    return this.sockets.at(-1);
  }

  /** The requests that wait for an answer. */
  get open() {
    return this.requests.filter((request) => !request.over);
  }

  /** The one that carries a message of `type`. */
  request(type) {
    return this.open.find((request) => request.message.type === type);
  }

  get tags() {
    return this.scripts.filter((script) => script.parentNode);
  }

  tag(type) {
    return this.tags.find((script) => messageOf(script.src).type === type);
  }

  /** Runs what an answer to `script` says, as the browser would. */
  run(script, text) {
    if (!script.parentNode && !script.onload) return;
    this.globals.document.currentScript = script;
    vm.runInContext(text, this.context);
    this.globals.document.currentScript = null;
    script.onload?.();
  }

  respond(script, object) {
    this.run(script, `Chloe.JsonpTransport.response(${JSON.stringify(object)});`);
  }
}

/** The message in a URL or a form. */
export function messageOf(text) {
  return JSON.parse(decodeURIComponent(/data=([^&]*)/.exec(text)[1]));
}

export const connected = (more = {}) => ({
  type: 'connect',
  version: 1,
  sessionId: 's1',
  resumed: false,
  channels: { '/all': { position: 'aa:0', recovered: true } },
  heartbeat: 25000,
  ...more,
});

function socketClass(world) {
  return class WebSocket {
    static OPEN = 1;
    readyState = 0;
    sent = [];
    constructor(url) {
      this.url = url;
      world.sockets.push(this);
    }
    open() {
      this.readyState = 1;
      this.onopen?.();
    }
    say(...objects) {
      objects.forEach((object) => this.onmessage?.({ data: typeof object === 'string' ? object : JSON.stringify(object) }));
    }
    die(code = 1006) {
      this.readyState = 3;
      this.onclose?.({ code });
    }
    send(text) {
      this.sent.push(JSON.parse(text));
    }
    close() {
      this.readyState = 2;
    }
  };
}

function requestClass(world) {
  return class XMLHttpRequest {
    withCredentials = false;
    status = 0;
    responseText = '';
    headers = {};
    open(method, url) {
      Object.assign(this, { method, url });
    }
    setRequestHeader(name, value) {
      this.headers[name] = value;
    }
    send(body) {
      this.body = body;
      this.message = messageOf(body ?? this.url);
      world.requests.push(this);
    }
    getResponseHeader(name) {
      return this.fields[name] ?? null;
    }
    answer(status, body = '', fields = {}) {
      this.status = status;
      this.fields = fields;
      this.responseText = typeof body === 'string' ? body : JSON.stringify(body);
      this.end();
    }
    abort() {
      this.end();
    }
    end() {
      if (this.over) return;
      this.over = true;
      this.onloadend?.();
    }
  };
}
