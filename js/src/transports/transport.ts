// What a transport is, and what it may ask of the client. A transport carries messages and
// decides nothing: sessions, subscriptions and reconnecting are the client's.

import { Address } from '../address';
import { ChloeError, ClientMessage, PositionTable, ServerMessage } from '../message';

/** The client, as one transport sees it. Calls of a transport that was closed are ignored. */
export interface Link {
  address: Address;
  /** What was read so far; a poll acknowledges with it. */
  positions(): PositionTable;
  /** The session, once there is one. */
  sessionId(): string | undefined;
  /** Chloe spoke. No message at all is a sign of life. */
  receive(messages: ServerMessage[]): void;
  /** The transport is broken: it will carry nothing more. */
  lost(error: ChloeError): void;
}

export interface Transport {
  /** How many messages for the app may be under way at a time. */
  window: number;
  /** Begins, with the message that opens or resumes the session. */
  open(connect: ClientMessage): void;
  /** Carries a message, after those given before. */
  send(message: ClientMessage): void;
  /** Ends. What was not answered is the client's to send again. */
  close(): void;
}

export interface TransportConstructor {
  new (link: Link): Transport;
  transportName: string;
  /** Whether this browser has what the transport needs. */
  isEnabled(): boolean;
}
