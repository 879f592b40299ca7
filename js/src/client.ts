// The client: one session and its subscriptions, over whatever connection there is.
// Made by the page, as `new Chloe()`. How a connection is got and kept is connector.ts.

import { AddressOptions, addressOf, urlOf } from './address';
import { Connector, Owner, State } from './connector';
import { Callback, Callbacks } from './events';
import { ALL, ChloeError, ClientMessage, SESSION, ServerMessage, VERSION, failure, failureOf } from './message';
import { Positions } from './positions';
import { JsonpTransport } from './transports/jsonp';
import { TransportConstructor } from './transports/transport';
import { WebSocketTransport } from './transports/websocket';
import { XhrTransport } from './transports/xhr';

/** How long one transport may take to connect. */
const CONNECT_TIMEOUT_MS = 4000;

/** Messages that wait for a connection. More are refused. */
const QUEUE_MAX = 1000;

/** A subscription that was refused for now is asked for again after up to this time. */
const ASK_AGAIN_MS = 5000;

const TRANSPORTS: TransportConstructor[] = [WebSocketTransport, XhrTransport, JsonpTransport];

export interface Options extends AddressOptions {
  transports?: (string | TransportConstructor)[];
  connectTimeoutMs?: number;
}

export class Chloe {
  static WebSocketTransport = WebSocketTransport;
  static XhrTransport = XhrTransport;
  static JsonpTransport = JsonpTransport;

  private connector: Connector;
  private listeners = new Callbacks();
  private subscriptions = new Callbacks();
  private messageCallback: Callback = () => {};
  private closeCallback: Callback = () => {};
  /** What connect() promised, until there is a connection. */
  private waiters: { resolve(): void; reject(error: ChloeError): void }[] = [];
  /** Whether the page knows that there is no connection: it is told once, not at each attempt. */
  private toldOfLoss = true;

  /** The address proved good: from then on the loss of a connection is nothing to complain of. */
  private hasConnected = false;
  private session?: string;
  private positions = new Positions();
  private queue: ClientMessage[] = [];
  private idCount = 0;
  /** The channel that each unanswered request is about, by message id. */
  private asked = new Map<string, string>();

  constructor(options: Options = {}) {
    const address = addressOf(options);
    const transports = (options.transports || TRANSPORTS).map(transportOf);
    const timeoutMs = options.connectTimeoutMs || CONNECT_TIMEOUT_MS;
    this.connector = new Connector(this.owner(urlOf(address, 'http', '')), address, transports, timeoutMs);
  }

  get state(): State {
    return this.connector.state;
  }

  get transport(): string | null {
    return this.connector.transportName;
  }

  connect(callback?: Callback): Promise<void> {
    const promise = new Promise<void>((resolve, reject) => this.waiters.push({ resolve, reject }));
    // A page that only uses the callback has nobody to catch this.
    promise.catch(() => {});
    if (callback) this.waiters.push({ resolve: () => this.call(callback), reject: () => {} });
    if (this.state === 'connected') this.welcome();
    if (this.state === 'closed') {
      this.toldOfLoss = false;
      this.connector.start();
    }
    return promise;
  }

  disconnect(): void {
    this.connector.stop();
  }

  send(data: string): void {
    if (typeof data !== 'string') throw new TypeError('Chloe sends strings. Use JSON.stringify for anything else.');
    // No id, hence no answer, in this version.
    const message: ClientMessage = { type: 'message', version: VERSION, data };
    const { transport } = this.connector;
    if ((transport ? transport.backlog() : this.queue.length) >= QUEUE_MAX) {
      this.raise(failure('queue_full', 'A message was dropped: ' + QUEUE_MAX + ' wait to be sent already.', true));
    } else if (transport) transport.send(message);
    else this.queue.push(message);
  }

  subscribe(channel: string, callback?: Callback): void {
    if (typeof channel !== 'string' || (callback && typeof callback !== 'function')) {
      throw new TypeError('subscribe() takes the name of a channel and a function.');
    }
    const isNew = !this.subscriptions.has(channel);
    this.subscriptions.add(channel, callback);
    if (isNew) this.ask(true, channel);
  }

  unsubscribe(channel: string, callback?: Callback): void {
    if (!this.subscriptions.has(channel)) return;
    this.subscriptions.remove(channel, callback);
    if (!this.subscriptions.has(channel)) this.ask(false, channel);
  }

  onmessage(callback: Callback): void {
    this.messageCallback = callback;
  }

  onclose(callback: Callback): void {
    this.closeCallback = callback;
  }

  on(event: string, callback: Callback): this {
    this.listeners.add(event, callback);
    return this;
  }

  off(event: string, callback?: Callback): this {
    this.listeners.remove(event, callback);
    return this;
  }

  /** What the connector sees of this client. */
  private owner(url: string): Owner {
    return {
      hello: () => ({
        type: 'connect',
        version: VERSION,
        sessionId: this.session,
        positions: this.positions.table(),
      }),
      positions: () => this.positions.table(),
      sessionId: () => this.session,
      opened: (answer) => this.resume(answer),
      received: (message) => this.receive(message),
      problem: (error) => this.raise(error),
      changed: (state) => {
        this.emit('state', state, this.transport);
        if (state === 'connected') this.welcome();
        if (state === 'waiting' && !this.toldOfLoss && !this.hasConnected) {
          const sentence = 'No connection to Chloe at ' + url + ', or it refuses this page. Trying on.';
          this.raise(failure('no_connection', sentence, true));
        }
        if ((state === 'waiting' || state === 'closed') && !this.toldOfLoss) {
          this.toldOfLoss = true;
          this.call(this.closeCallback);
        }
      },
      dropped: (unsent, error) => {
        // What could be told of these was lost with the connection; the next connect tells.
        this.asked.clear();
        this.queue = unsent.filter((message) => message.type === 'message').concat(this.queue);
        if (!error) return;
        if (error.code === 'unknown_session') this.session = undefined;
        else if (!error.temporary && !this.toldOfLoss) this.raise(error);
      },
      stopped: (error) => this.waiters.splice(0).forEach((waiter) => waiter.reject(error)),
    };
  }

  /** Brings a new connection to where the page is: session, subscriptions, messages that waited. */
  private resume(answer: ServerMessage): void {
    const channels = answer.channels || {};
    const transport = this.connector.transport!;
    if (!answer.resumed) this.positions.forget(SESSION);
    this.session = answer.sessionId;
    this.hasConnected = true;
    this.toldOfLoss = false;
    const missed: string[] = [];
    Object.keys(channels).forEach((channel) => {
      const wanted = channel === ALL || channel === SESSION || this.subscriptions.has(channel);
      if (!wanted) this.ask(false, channel);
      else if (!this.settle(channel, channels[channel])) missed.push(channel);
    });
    this.subscriptions.names().forEach((channel) => {
      if (!Object.prototype.hasOwnProperty.call(channels, channel)) this.ask(true, channel);
    });
    this.queue.splice(0).forEach((message) => transport.send(message));
    // Last, since the page may do anything then.
    missed.forEach((channel) => this.emit('gap', { channel }));
  }

  private receive(message: ServerMessage): void {
    const id = message.id + '';
    const channel = message.channel || this.asked.get(id) || '';
    if (message.version !== undefined && message.version !== VERSION) {
      return this.raise(failure('version', 'Chloe speaks version ' + message.version + ': load its own chloe.js.'));
    }
    switch (message.type) {
      case null:
      case undefined:
      case 'poll':
        return this.deliver(message);
      case 'subscribed':
        if (this.subscriptions.has(channel) && !this.settle(channel, message)) this.emit('gap', { channel });
        break;
      case 'gap':
        this.positions.settle(channel, message.position, false);
        this.emit('gap', { channel, missed: message.missed });
        break;
      case 'error':
        this.raise(failureOf(message, channel));
        if (message.temporary && this.asked.has(id)) this.askLater(channel);
    }
    this.asked.delete(id);
  }

  private deliver(message: ServerMessage): void {
    const channel = message.channel || ALL;
    const { data, direct } = message;
    // Nothing, or the rest of a subscription that has ended.
    if (data === undefined || !(direct || channel === ALL || this.subscriptions.has(channel))) return;
    if (!this.positions.advance(direct ? SESSION : channel, message.offset, message.epoch)) return;
    const about = { data, channel, offset: message.offset, direct: !!direct };
    this.emit('message', data, about);
    const callbacks = this.subscriptions.of(channel);
    (callbacks.length ? callbacks : [this.messageCallback]).forEach((callback) => this.call(callback, data, about));
  }

  /** Asks to be in a channel, or out of it. Without a connection, resume() will. */
  private ask(wanted: boolean, channel: string): void {
    if (channel === ALL) return;
    if (!wanted) this.positions.forget(channel);
    const { transport } = this.connector;
    if (!transport) return;
    const message: ClientMessage = {
      type: wanted ? 'channel-subscribe' : 'channel-unsubscribe',
      version: VERSION,
      channel,
    };
    if (wanted) {
      message.id = transport.idPrefix + ++this.idCount;
      message.since = this.positions.of(channel);
      this.asked.set(message.id, channel);
    }
    transport.send(message);
  }

  /** A subscription was refused for now. */
  private askLater(channel: string): void {
    setTimeout(() => this.subscriptions.has(channel) && this.ask(true, channel), ASK_AGAIN_MS * (1 + Math.random()));
  }

  /** Takes a position. False: something may have been missed. */
  private settle(channel: string, standing: ServerMessage): boolean {
    return this.positions.settle(channel, standing.position, standing.recovered);
  }

  private welcome(): void {
    this.waiters.splice(0).forEach((waiter) => waiter.resolve());
  }

  private raise(error: ChloeError): void {
    if (this.listeners.has('error')) this.emit('error', error);
    else console.error('Chloe: ' + error.message);
  }

  private emit(event: string, ...values: unknown[]): void {
    this.listeners.of(event).forEach((callback) => this.call(callback, ...values));
  }

  /** Calls what the page gave us. An error of it goes to the listeners, and to the console. */
  private call(callback: Callback, ...values: unknown[]): void {
    try {
      callback.apply(undefined, values);
    } catch (error) {
      setTimeout(() => {
        throw error;
      });
      // An error listener that throws is not asked again.
      if (this.listeners.of('error').indexOf(callback) < 0) this.emit('error', error);
    }
  }
}

function transportOf(choice: string | TransportConstructor): TransportConstructor {
  const found = typeof choice === 'string' ? TRANSPORTS.filter((one) => one.transportName === choice)[0] : choice;
  if (!found) throw new TypeError('There is no transport "' + choice + '", but websocket, xhr and jsonp.');
  return found;
}
