// What is on the wire: one JSON object a message, the same for every transport.
// Types, spelling and errors; no state. Used by every other file of the client.

/** The number that every message bears. */
export const VERSION = 1;

/** Every session is in this channel from its creation. */
export const ALL = '/all';

/** How a session's own channel (messages to this one browser) is named in `positions`. */
export const SESSION = '/session';

/** Channel name to `epoch:offset`: what this client has seen so far. */
export type PositionTable = { [channel: string]: string };

/** A message of this client to the server. */
export interface ClientMessage {
  type: 'connect' | 'poll' | 'message' | 'channel-subscribe' | 'channel-unsubscribe';
  version: number;
  id?: string | number;
  sessionId?: string;
  channel?: string;
  data?: string;
  since?: string;
  positions?: PositionTable;
  /** How long a poll may be held, in milliseconds. */
  wait?: number;
  /** The number of the last answer to a poll that came. */
  batch?: number;
}

/** Where a subscription stands, as the answer to a connect tells it. */
export interface Standing {
  position: string;
  /** Nothing was missed since the position that this client named. */
  recovered?: boolean;
}

/** A message of the server. One without a type is a delivery. */
export interface ServerMessage extends Partial<Standing> {
  type?: string | null;
  version?: number;
  id?: string | number | null;
  sessionId?: string;
  channel?: string | null;
  data?: unknown;
  offset?: number;
  epoch?: string;
  direct?: boolean;
  resumed?: boolean;
  channels?: { [channel: string]: Standing };
  /** The longest silence of a healthy server, in milliseconds. */
  heartbeat?: number;
  messages?: ServerMessage[];
  /** The number of an answer to a poll; the next poll says that it came. */
  batch?: number;
  missed?: number;
  /** What the app answered to a message, if that was JSON. */
  answer?: unknown;
  code?: string;
  message?: string;
  temporary?: boolean;
  /** The header `Retry-After`: seconds to wait before the next try. */
  after?: number;
}

/** What `error` listeners get. */
export interface ChloeError extends Error {
  /** A word for programs, such as `unknown_session`. */
  code?: string;
  /** The same call may succeed later. */
  temporary?: boolean;
  /** The channel that the error is about, if it is about one. */
  channel?: string;
}

/** Makes the error that tells `sentence` to people and `code` to programs. */
export function failure(code: string, sentence: string, temporary?: boolean, channel?: string): ChloeError {
  const error: ChloeError = new Error(sentence);
  error.code = code;
  error.temporary = !!temporary;
  if (channel) error.channel = channel;
  return error;
}

/** The error that a message of type `error` speaks of. */
export function failureOf(message: ServerMessage, channel?: string): ChloeError {
  return failure(
    message.code || 'error',
    message.message || 'Chloe refused a message.',
    message.temporary,
    message.channel || channel,
  );
}

/**
 * Text with U+FFFD for each half of a surrogate pair, which is no character and which
 * neither a URL nor UTF-8 can carry.
 */
export function wellFormed(text: string): string {
  return text.replace(/[\uD800-\uDBFF][\uDC00-\uDFFF]|[\uD800-\uDFFF]/g, (found) => (found[1] ? found : '\uFFFD'));
}

/** The JSON of a message, its text well-formed. */
export function encode(message: ClientMessage): string {
  return JSON.stringify(message, (_key, value) => (typeof value === 'string' ? wellFormed(value) : value));
}

/** The object that `text` spells; an empty one for no text; undefined for anything else. */
export function decode(text: string): ServerMessage | undefined {
  try {
    const value = text.trim() ? JSON.parse(text) : {};
    if (value && typeof value === 'object') return value;
  } catch (_error) {
    // Not JSON: a proxy's page, or half an answer.
  }
  return undefined;
}
