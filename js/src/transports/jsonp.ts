// JSONP: every request is a script tag, every answer a script that calls back. It needs nothing
// but a document, and no permission of the server for the page's origin.

import { urlOf } from '../address';
import { ClientMessage, ServerMessage, decode, encode, failure } from '../message';
import { Done, PollingTransport } from './polling';
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
  response(message: ServerMessage): void;
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
      if (message) this.link.receive([message]);
    },
  };
  private number = 1;
  private polls = false;
  private scripts: Element[] = [];
  /** The answers that came while their script ran, by the id of their request. */
  private answers: { [id: string]: ServerMessage } = {};

  static isEnabled(): boolean {
    return typeof document !== 'undefined';
  }

  /** Every answer script calls this. "3" is for connection 3, "3.7" for the seventh message of it. */
  static response(message: ServerMessage): void {
    const running = document.currentScript;
    const id = message.id == null ? running && running.getAttribute('data-id') : message.id;
    const connection = JsonpTransport.connections[parseInt(id + '', 10)];
    if (connection) {
      message.id = id;
      connection.response(message);
    }
  }

  constructor(link: Link) {
    super(link);
    const { connections } = home();
    while (connections[this.number]) this.number++;
    connections[this.number] = this;
    this.idPrefix = this.number + '.';
  }

  /** The server let go of a poll: it wants the next one. */
  listenForMessages(): void {
    this.answers[this.number] = { messages: [] };
  }

  response(message: ServerMessage): void {
    this.answers[message.id!] = message;
  }

  close(): ClientMessage[] {
    const { number } = this;
    const { connections } = home();
    connections[number] = CLOSED;
    setTimeout(() => delete connections[number], LINGER_MS);
    this.scripts.forEach(remove);
    return super.close();
  }

  /** A script that is held keeps the page from having loaded: polling begins after that. */
  protected poll(): void {
    if (document.readyState === 'complete' || this.polls) return super.poll();
    const begin = () => {
      clearTimeout(timer);
      if (this.polls) return;
      this.polls = true;
      super.poll();
    };
    const timer = setTimeout(begin, LOAD_MS);
    addEventListener('load', () => setTimeout(begin));
  }

  protected request(message: ClientMessage, limitMs: number, done: Done): void {
    const { number } = this;
    const held = message.type === 'poll' || message.type === 'connect';
    if (held) message.id = number;
    const id = held ? number + '' : message.id || this.idPrefix + 0;
    let url = this.urlOf(message);
    if (url.length > URL_LENGTH_MAX && message.positions) {
      // Then the server goes by what it has sent, and only an answer lost on the way is lost.
      message.positions = {};
      url = this.urlOf(message);
    }
    if (url.length > URL_LENGTH_MAX) return this.refuse(message, done);

    const script = document.createElement('script');
    const finish = (answer?: ServerMessage) => {
      clearTimeout(timer);
      // A script that is removed may run all the same.
      script.onload = script.onerror = null;
      remove(script);
      this.scripts = this.scripts.filter((other) => other !== script);
      if (!this.closed) done(answer);
    };
    const timer = setTimeout(finish, limitMs);
    script.async = true;
    script.setAttribute('data-id', id + '');
    script.onerror = () => finish();
    script.onload = () => {
      const answer = this.answers[id] || {};
      delete this.answers[id];
      finish(answer);
    };
    // Two requests of the same millisecond must not be one for the browser.
    script.src = url + '&ts=' + Date.now() + '.' + requestCount++;
    this.scripts.push(script);
    (document.head || document.documentElement).appendChild(script);
  }

  private urlOf(message: ClientMessage): string {
    return urlOf(this.link.address, 'http', '/chloe/jsonp.js?data=') + encodeURIComponent(encode(message));
  }

  private refuse(message: ClientMessage, done: Done): void {
    const error = failure(
      'too_long',
      'This message is too long for JSONP, whose messages travel in a URL of at most ' +
        URL_LENGTH_MAX +
        ' characters. Send less at a time.',
      false,
      message.channel,
    );
    this.link.problem(error);
    setTimeout(() => this.closed || done({}));
  }
}

/** Where answer scripts look: the global Chloe, which a module does not make by itself. */
function home(): typeof JsonpTransport {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  const scope = self as any;
  const chloe = scope.Chloe || (scope.Chloe = {});
  return chloe.JsonpTransport || (chloe.JsonpTransport = JsonpTransport);
}

function remove(element: Element): void {
  if (element.parentNode) element.parentNode.removeChild(element);
}
