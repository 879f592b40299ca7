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
  /** One message could not be carried; the rest goes on. */
  problem(error: ChloeError): void;
}

export interface Transport {
  /** Put before the ids of this connection's messages, so that answers find their way. */
  idPrefix: string;
  /** How many messages wait here to be sent. */
  backlog(): number;
  /** Begins, with the message that opens or resumes the session. */
  open(connect: ClientMessage): void;
  /** Carries a message, after those given before. */
  send(message: ClientMessage): void;
  /** Ends. Returns what was given to `send` and surely or probably did not arrive. */
  close(): ClientMessage[];
}

export interface TransportConstructor {
  new (link: Link): Transport;
  transportName: string;
  /** Whether this browser has what the transport needs. */
  isEnabled(): boolean;
}
