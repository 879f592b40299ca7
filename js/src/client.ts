// The client: one session and its subscriptions, over whatever connection there is.
// Made by the page, as `new Chloe()`. How a connection is got and kept is connector.ts.

import { AddressOptions, addressOf, urlOf } from './address';
import { Connector, Owner, State } from './connector';
import { Callback, Callbacks } from './events';
import { ALL, ChloeError, ClientMessage, SESSION, ServerMessage, VERSION, failure, failureOf, wellFormed } from './message';
import { Outbox } from './outbox';
import { Positions } from './positions';
import { JsonpTransport } from './transports/jsonp';
import { TransportConstructor } from './transports/transport';
import { WebSocketTransport } from './transports/websocket';
import { XhrTransport } from './transports/xhr';

/** How long one transport may take to connect. */
const CONNECT_TIMEOUT_MS = 4000;

/** A subscription that was refused for now is asked for again after up to this time. */
const ASK_AGAIN_MS = 5000;

const TRANSPORTS: TransportConstructor[] = [WebSocketTransport, XhrTransport, JsonpTransport];

/** The client whose onclose is being called. */
let closing: Chloe | undefined;

export interface SendOptions {
  timeoutMs?: number;
  timeout_ms?: number;
}

export interface Options extends AddressOptions {
  transports?: (string | TransportConstructor)[];
  connectTimeoutMs?: number;
}

export class Chloe {
  static WebSocketTransport = WebSocketTransport;
  static XhrTransport = XhrTransport;
  static JsonpTransport = JsonpTransport;

  private _connector: Connector;
  private _listeners = new Callbacks();
  private _subscriptions = new Callbacks();
  private _messageCallback: Callback = () => {};
  private _closeCallback: Callback = () => {};
  /** What connect() promised, until there is a connection. */
  private _waiters: { resolve(): void; reject(error: ChloeError): void }[] = [];
  /** Whether the page knows that there is no connection: it is told once, not at each attempt. */
  private _toldOfLoss = true;

  /** The address proved good: from then on the loss of a connection is nothing to complain of. */
  private _hasConnected?: boolean;
  private _session?: string;
  private _positions = new Positions();
  private _outbox = new Outbox(() => this._connector.transport, (error) => this._raise(error));
  private _idCount = 0;
  /** The channel that each unanswered request is about, by message id. */
  private _asked = new Map<string, string>();

  constructor(options: Options = {}) {
    const address = addressOf(options);
    const transports = (options.transports || TRANSPORTS).map(transportOf);
    const timeoutMs = options.connectTimeoutMs || CONNECT_TIMEOUT_MS;
    this._connector = new Connector(this._owner(urlOf(address, 'http', '')), address, transports, timeoutMs);
  }

  get state(): State {
    return this._connector.state;
  }

  get transport(): string | null {
    return this._connector.transportName;
  }

  connect(callback?: Callback): Promise<void> {
    const promise = new Promise<void>((resolve, reject) => this._waiters.push({ resolve, reject }));
    // A page that only uses the callback has nobody to catch this.
    promise.catch(() => {});
    if (callback) this._waiters.push({ resolve: () => this._call(callback), reject: () => {} });
    if (this.state === 'connected') this._welcome();
    if (this.state === 'closed') {
      this._toldOfLoss = false;
      if (closing) {
        // In its onclose a page of old makes a new client: this one, in its place, and in no storm.
        closing.disconnect();
        setTimeout(() => this._connector.start(), ASK_AGAIN_MS * Math.random());
      } else this._connector.start();
    }
    return promise;
  }

  disconnect(): void {
    this._connector.stop();
  }

  send(data: string, options: SendOptions = {}): Promise<unknown> {
    if (typeof data !== 'string') throw new TypeError('send() takes a string. Use JSON.stringify().');
    return this._outbox.add(this._nextId(), data, options.timeoutMs || options.timeout_ms);
  }

  position(channel: string): string | undefined {
    return this._positions.of(channel);
  }

  subscribe(channel: string, callback?: Callback, options: { since?: string } = {}): void {
    if (typeof channel !== 'string' || (callback && typeof callback !== 'function')) {
      throw new TypeError('subscribe() takes a channel name and a function.');
    }
    // As U+FFFD two names would be one.
    if (wellFormed(channel) !== channel) throw new TypeError('A channel name cannot contain half a surrogate pair.');
    const isNew = !this._subscriptions.has(channel);
    this._subscriptions.add(channel, callback);
    if (!isNew) return;
    this._positions.settle(channel, options.since, false);
    this._ask(true, channel);
  }

  unsubscribe(channel: string, callback?: Callback): void {
    if (!this._subscriptions.has(channel)) return;
    this._subscriptions.remove(channel, callback);
    if (!this._subscriptions.has(channel)) this._ask(false, channel);
  }

  onmessage(callback: Callback): void {
    this._messageCallback = callback;
  }

  onclose(callback: Callback): void {
    this._closeCallback = callback;
  }

  on(event: string, callback: Callback): this {
    this._listeners.add(event, callback);
    return this;
  }

  off(event: string, callback?: Callback): this {
    this._listeners.remove(event, callback);
    return this;
  }

  /** What the connector sees of this client. */
  private _owner(url: string): Owner {
    return {
      hello: () => ({
        type: 'connect',
        version: VERSION,
        sessionId: this._session,
        positions: this._positions.table(true),
      }),
      positions: () => this._positions.table(false),
      sessionId: () => this._session,
      opened: (answer) => this._resume(answer),
      received: (message) => this._receive(message),
      changed: (state) => {
        this._emit('state', state, this.transport);
        if (state === 'connected') this._welcome();
        if (state === 'waiting' && !this._toldOfLoss && !this._hasConnected) {
          const sentence = 'No connection to Chloe at ' + url + ', or it refuses this page. Trying on.';
          this._raise(failure('no_connection', sentence, true));
        }
        if ((state === 'waiting' || state === 'closed') && !this._toldOfLoss) {
          this._toldOfLoss = true;
          closing = this;
          this._call(this._closeCallback);
          closing = undefined;
        }
      },
      dropped: (error) => {
        // What could be told of these was lost with the connection; the next connect tells.
        this._asked.clear();
        // RFC 6455, 7.4.1: the next connection would end like this one.
        const told = error && error.code === 'closed_1009' && this._outbox.tooLong(error);
        this._outbox.flush();
        if (!error) return;
        if (error.code === 'unknown_session') this._session = undefined;
        else if (!error.temporary && !told && !this._toldOfLoss) this._raise(error);
      },
      stopped: (error) => this._waiters.splice(0).forEach((waiter) => waiter.reject(error)),
    };
  }

  /** Brings a new connection to where the page is: session, subscriptions, messages that waited. */
  private _resume(answer: ServerMessage): void {
    const channels = answer.channels || {};
    if (!answer.resumed) this._positions.begin();
    this._session = answer.sessionId;
    this._hasConnected = true;
    this._toldOfLoss = false;
    const tell: (() => void)[] = [];
    const told = new Set(Object.keys(channels));
    told.forEach((channel) => {
      const wanted = channel === ALL || channel === SESSION || this._subscriptions.has(channel);
      if (!wanted) this._ask(false, channel);
      else tell.push(this._settle(channel, channels[channel]));
    });
    this._subscriptions.names().forEach((channel) => {
      if (!told.has(channel)) this._ask(true, channel);
    });
    this._outbox.flush();
    // Last, since the page may do anything then.
    tell.forEach((each) => each());
  }

  private _receive(message: ServerMessage): void {
    const id = message.id + '';
    const channel = message.channel || this._asked.get(id) || '';
    if (message.version !== undefined && message.version !== VERSION) {
      return this._raise(failure('version', 'Chloe speaks version ' + message.version + ': load its own chloe.js.'));
    }
    switch (message.type) {
      case null:
      case undefined:
      case 'poll':
        return this._deliver(message);
      case 'subscribed':
        if (this._subscriptions.has(channel)) this._settle(channel, message)();
        break;
      case 'accepted':
        this._outbox.settle(id, undefined, message.answer);
        break;
      case 'gap':
        this._positions.settle(channel, message.position, false);
        this._emit('gap', { channel, missed: message.missed });
        break;
      case 'error':
        // A server that stops takes nothing more: the next connection asks again.
        if (message.code === 'stopping') return;
        const error = failureOf(message, channel);
        if (!this._outbox.settle(id, error)) this._raise(error);
        if (message.temporary && this._asked.has(id)) this._askLater(channel);
    }
    this._asked.delete(id);
  }

  private _deliver(message: ServerMessage): void {
    const channel = message.channel || ALL;
    const { data, direct } = message;
    // Nothing, or the rest of a subscription that has ended.
    if (data === undefined || !(direct || channel === ALL || this._subscriptions.has(channel))) return;
    if (!this._positions.advance(direct ? SESSION : channel, message.offset, message.epoch)) return;
    const about = { data, channel, offset: message.offset, direct: !!direct };
    this._emit('message', data, about);
    const callbacks = this._subscriptions.of(channel);
    (callbacks.length ? callbacks : [this._messageCallback]).forEach((callback) => this._call(callback, data, about));
  }

  /** Asks to be in a channel, or out of it. Without a connection, resume() will. */
  private _ask(wanted: boolean, channel: string): void {
    if (channel === ALL) return;
    if (!wanted) this._positions.forget(channel);
    const { transport } = this._connector;
    if (!transport) return;
    const message: ClientMessage = {
      type: wanted ? 'channel-subscribe' : 'channel-unsubscribe',
      version: VERSION,
      channel,
      // With an id a refusal is told on every transport.
      id: this._nextId(),
    };
    if (wanted) {
      message.since = this._positions.of(channel);
      this._asked.set(message.id as string, channel);
    }
    transport.send(message);
  }

  /** A subscription was refused for now. */
  private _askLater(channel: string): void {
    setTimeout(() => this._subscriptions.has(channel) && this._ask(true, channel), ASK_AGAIN_MS * (1 + Math.random()));
  }

  /** Takes a position, and returns what tells the page of it. */
  private _settle(channel: string, { position, recovered }: ServerMessage): () => void {
    const known = this._positions.of(channel);
    const whole = this._positions.settle(channel, position, recovered);
    return () => {
      if (known) this._emit('recovered', { channel, recovered: whole });
      if (!whole) this._emit('gap', { channel });
    };
  }

  /** Unique in the life of this client, whatever it is connected by. */
  private _nextId(): string {
    return ++this._idCount + '';
  }

  private _welcome(): void {
    this._waiters.splice(0).forEach((waiter) => waiter.resolve());
  }

  private _raise(error: ChloeError): void {
    if (this._listeners.has('error')) this._emit('error', error);
    else console.error('Chloe: ' + error.message);
  }

  private _emit(event: string, ...values: unknown[]): void {
    this._listeners.of(event).forEach((callback) => this._call(callback, ...values));
  }

  /** Calls what the page gave us. An error of it goes to the listeners, and to the console. */
  private _call(callback: Callback, ...values: unknown[]): void {
    try {
      callback.apply(undefined, values);
    } catch (error) {
      setTimeout(() => {
        throw error;
      });
      // An error listener that throws is not asked again.
      if (this._listeners.of('error').indexOf(callback) < 0) this._emit('error', error);
    }
  }
}

function transportOf(choice: string | TransportConstructor): TransportConstructor {
  const found = typeof choice === 'string' ? TRANSPORTS.filter((one) => one.transportName === choice)[0] : choice;
  if (!found) throw new TypeError('No transport "' + choice + '", but websocket, xhr and jsonp.');
  return found;
}
