/** Where the connection stands. 'waiting': none now, the next attempt is due. */
export type ChloeState = 'connecting' | 'connected' | 'waiting' | 'closed';

export type ChloeTransportName = 'websocket' | 'xhr' | 'jsonp';

/** What a transport is to a page: something to choose, if the browser has it. */
export interface ChloeTransport {
  isEnabled(): boolean;
}

export interface ChloeOptions {
  /** Default: the host this script was loaded from, else the page's. */
  host?: string;
  /** Default: the port this script was loaded from; 8901 if `host` is given. */
  port?: number | string;
  /** Default: whether this script, else the page, came by https. */
  https?: boolean;
  /** In the order in which they are tried. Default: websocket, xhr, jsonp. */
  transports?: (ChloeTransportName | ChloeTransport)[];
  /** How long one transport may take to connect, in milliseconds. Default: 4000. */
  connectTimeoutMs?: number;
}

/** What came, beside the data. */
export interface ChloeMessage {
  data: any;
  channel: string;
  /** The message's number in its channel. */
  offset?: number;
  /** It was sent to this browser alone. */
  direct: boolean;
}

export interface ChloeSendOptions {
  /** How long the app may take, a lost connection included, in milliseconds. Default: without limit. */
  timeoutMs?: number;
  /** The same. */
  timeout_ms?: number;
}

export interface ChloeSubscribeOptions {
  /**
   * A position, "epoch:offset" or "life-sequence", as GET /channels/NAME and position() tell it: what
   * came after it is delivered. For the first subscription to a channel; from then on the client
   * knows by itself.
   */
  since?: string;
}

/** A channel goes on after a reconnect, or behind `since`. */
export interface ChloeRecovered {
  channel: string;
  /** Nothing was missed: what came meanwhile is delivered. Else there is a gap as well. */
  recovered: boolean;
}

/** Messages of a channel were missed; `missed` of them, if the server knows. */
export interface ChloeGap {
  channel: string;
  missed?: number;
}

export interface ChloeError extends Error {
  /** A word for programs. Absent if a callback of the page threw this. */
  code?: string;
  /** The same may succeed later. */
  temporary?: boolean;
  channel?: string;
}

/** Gets the data, a string (or, if the app sent another JSON value, that), and what goes with it. */
export type ChloeCallback = (data: any, message: ChloeMessage) => void;

export interface ChloeEvents {
  /** `transport` is its name; null without a connection. */
  state: (state: ChloeState, transport: string | null) => void;
  /** Every message, whatever its channel. */
  message: ChloeCallback;
  recovered: (recovered: ChloeRecovered) => void;
  gap: (gap: ChloeGap) => void;
  error: (error: ChloeError) => void;
}

export declare class Chloe {
  static WebSocketTransport: ChloeTransport;
  static XhrTransport: ChloeTransport;
  static JsonpTransport: ChloeTransport;

  constructor(options?: ChloeOptions);

  readonly state: ChloeState;
  /** The transport in use; null without a connection. */
  readonly transport: string | null;

  /** Connects, and reconnects from then on. The callback is called, and the promise resolved, at the first connection. */
  connect(callback?: () => void): Promise<void>;
  /** Ends the connection. Callbacks stay; connect() takes up where this left off. */
  disconnect(): void;
  /**
   * Sends a string to the app. Waits for a connection if there is none; after a lost one what was not
   * answered is sent again, in order, and reaches the app once as long as Chloe lives. The promise is
   * fulfilled when the app has taken it, with the app's answer if that is JSON. Else it is rejected with a
   * ChloeError, which `error` listeners get too. Its codes are those of the protocol, `timeout`,
   * `queue_full` (1,000 wait already), `too_long` (for JSONP), `closed_1009` (for the server), `not_sent`.
   * After a `timeout` the app may still get a message that was under way.
   */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  send(data: string, options?: ChloeSendOptions): Promise<any>;
  /** Joins a channel. A message of it goes to the callbacks of its channel only, if it has any. */
  subscribe(channel: string, callback?: ChloeCallback, options?: ChloeSubscribeOptions): void;
  /** What was seen of a channel, as a position to go on from; undefined as long as that is not known. */
  position(channel: string): string | undefined;
  /** Removes one callback of a channel, or all; leaves the channel with the last. */
  unsubscribe(channel: string, callback?: ChloeCallback): void;
  /** Sets the callback for messages of channels that have none. */
  onmessage(callback: ChloeCallback): void;
  /** Sets the callback for the loss of the connection. It is called once for each. */
  onclose(callback: () => void): void;
  on<E extends keyof ChloeEvents>(event: E, callback: ChloeEvents[E]): this;
  off<E extends keyof ChloeEvents>(event: E, callback?: ChloeEvents[E]): this;
}

export default Chloe;

type ChloeClass = typeof Chloe;

declare global {
  /** Made by chloe.js and chloe-min.js; chloe.mjs exports it instead. */
  interface Window {
    Chloe: ChloeClass;
  }
}
