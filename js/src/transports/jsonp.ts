// JSONP: every request is a script tag, every answer a script that calls back. It needs nothing
// but a document, and no permission of the server for the page's origin.

import { urlOf } from '../address';
import { ClientMessage, ServerMessage, decode, encode } from '../message';
import { Done, PollingTransport, refusal } from './polling';
import { Link } from './transport';

/** What every server and proxy takes as a URL. */
const URL_LENGTH_MAX = 8000;

/** A page that takes longer to load is polled for all the same. */
const LOAD_MS = 5000;

/** Scripts of a closed connection may still arrive for so long. */
const LINGER_MS = 60000;

/** What an answer script calls. Old servers and new find it as Chloe.JsonpTransport.connections[ID]. */
interface Connection {
  callbacks: { onmessage(packed: string): void };
  listenForMessages(): void;
  response(message: ServerMessage, key: string): void;
}

const nothing = () => {};
const CLOSED: Connection = { callbacks: { onmessage: nothing }, listenForMessages: nothing, response: nothing };

let requestCount = 0;

export class JsonpTransport extends PollingTransport implements Connection {
  static transportName = 'jsonp';
  /** The open connections by number. Answers name theirs. */
  static connections: { [id: string]: Connection } = {};

  callbacks = {
    /** A message that comes beside the answer. */
    onmessage: (packed: string): void => {
      const message = decode(packed);
      if (message) this._link.receive([message]);
    },
  };
  private _number = 1;
  private _polls?: boolean;
  private _scripts = new Set<Element>();
  /** The answers that came while their script ran, by the key of their request. */
  private _answers: { [id: string]: ServerMessage } = {};

  static isEnabled(): boolean {
    return typeof document !== 'undefined';
  }

  /**
   * Every answer script calls this. It belongs to the request that its tag was made for: "3" is
   * a poll of connection 3, "3.7" another request of it. A script without a tag goes by its message.
   */
  static response(message: ServerMessage): void {
    const running = document.currentScript;
    const key = ((running && running.getAttribute('data-id')) || message.id) + '';
    const connection = home().connections[parseInt(key, 10)];
    if (connection) connection.response(message, key);
  }

  constructor(link: Link) {
    super(link);
    const { connections } = home();
    while (connections[this._number]) this._number++;
    connections[this._number] = this;
  }

  /** The server let go of a poll: it wants the next one. */
  listenForMessages(): void {
    this._answers[this._number] = { messages: [] };
  }

  response(message: ServerMessage, key: string): void {
    this._answers[key] = message;
  }

  close(): void {
    const number = this._number;
    const { connections } = home();
    connections[number] = CLOSED;
    setTimeout(() => delete connections[number], LINGER_MS);
    this._scripts.forEach((script) => script.remove());
    super.close();
  }

  /** A script that is held keeps the page from having loaded: polling begins after that. */
  protected _poll(): void {
    if (document.readyState === 'complete' || this._polls) return super._poll();
    const begin = () => {
      clearTimeout(timer);
      if (this._polls) return;
      this._polls = true;
      super._poll();
    };
    const timer = setTimeout(begin, LOAD_MS);
    addEventListener('load', () => setTimeout(begin));
  }

  protected _request(message: ClientMessage, limitMs: number, done: Done): void {
    const number = this._number;
    const held = message.type === 'poll' || message.type === 'connect';
    if (held) message.id = number;
    const key = number + (held ? '' : '.' + ++requestCount);
    let url = this._urlOf(message);
    if (url.length > URL_LENGTH_MAX && message.positions) {
      // Then a poll goes by its batch alone, and a connect is told that something may be missing.
      message.positions = {};
      url = this._urlOf(message);
    }
    if (url.length > URL_LENGTH_MAX) {
      const sentence = 'Too long for JSONP: a URL has at most ' + URL_LENGTH_MAX + ' characters.';
      setTimeout(() => this._closed || done(refusal('too_long', sentence, message)));
      return;
    }

    const script = document.createElement('script');
    const finish = (answer?: ServerMessage) => {
      clearTimeout(timer);
      // A script that is removed may run all the same.
      script.onload = script.onerror = null;
      script.remove();
      this._scripts.delete(script);
      if (!this._closed) done(answer);
    };
    const timer = setTimeout(finish, limitMs);
    script.async = true;
    script.setAttribute('data-id', key);
    script.onerror = () => finish();
    script.onload = () => {
      const answer = this._answers[key] || {};
      delete this._answers[key];
      finish(answer);
    };
    // Two requests of the same millisecond must not be one for the browser.
    script.src = url + '&ts=' + Date.now() + '.' + ++requestCount;
    this._scripts.add(script);
    (document.head || document.documentElement).appendChild(script);
  }

  private _urlOf(message: ClientMessage): string {
    return urlOf(this._link.address, 'http', '/chloe/jsonp.js?data=') + encodeURIComponent(encode(message));
  }
}

/** Where answer scripts look: the global Chloe, which a module does not make by itself. */
function home(): typeof JsonpTransport {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  const scope = self as any;
  const chloe = scope.Chloe || (scope.Chloe = {});
  return chloe.JsonpTransport || (chloe.JsonpTransport = JsonpTransport);
}
