// Gets a connection and keeps it: each transport in turn, with a time limit; then a wait, then
// again; at once when the page wakes. Knows no channels and no messages but the answer to a
// connect. Used by client.ts.

import { Address } from './address';
import { Backoff } from './backoff';
import { recall, remember } from './memory';
import { ChloeError, ClientMessage, PositionTable, ServerMessage, failure, failureOf } from './message';
import { Link, Transport, TransportConstructor } from './transports/transport';

/** On a slow network the time limit grows up to this many times itself. */
const PATIENCE_MAX = 5;

/** A connection that lasted this long starts the backoff anew. */
const STEADY_MS = 5000;

export type State = 'connecting' | 'connected' | 'waiting' | 'closed';

/** Whom the connection is for. */
export interface Owner {
  /** The message that opens or resumes the session. */
  hello(): ClientMessage;
  positions(): PositionTable;
  sessionId(): string | undefined;
  /** The state is another now. */
  changed(state: State): void;
  /** Connected: the answer to hello. */
  opened(answer: ServerMessage): void;
  received(message: ServerMessage): void;
  problem(error: ChloeError): void;
  /** The connection is gone; `unsent` did not arrive. Called before the state changes. */
  dropped(unsent: ClientMessage[], error?: ChloeError): void;
}

export class Connector {
  state: State = 'closed';
  /** In use, once connected. */
  transport?: Transport;
  transportName: string | null = null;

  private candidates: TransportConstructor[] = [];
  private passedOver = false;
  private current?: Transport;
  /** Grows whenever `current` changes, so that a late call of a former one is known. */
  private generation = 0;
  private timer?: ReturnType<typeof setTimeout>;
  private backoff = new Backoff();
  private connectedAt = 0;

  constructor(
    private owner: Owner,
    private address: Address,
    private transports: TransportConstructor[],
    private timeoutMs: number,
  ) {}

  start(): void {
    if (this.state !== 'closed') return;
    this.listen('addEventListener');
    this.begin();
  }

  stop(): void {
    if (this.state === 'closed') return;
    this.listen('removeEventListener');
    this.drop();
    this.enter('closed');
  }

  private begin(): void {
    clearTimeout(this.timer);
    const enabled = this.transports.filter((transport) => transport.isEnabled());
    const name = recall();
    const worked = (transport: TransportConstructor) => transport.transportName === name;
    this.candidates = enabled.filter(worked).concat(enabled.filter((transport) => !worked(transport)));
    this.passedOver = false;
    const generation = this.generation;
    this.enter('connecting');
    // Unless a listener called disconnect().
    if (generation === this.generation) this.attempt();
  }

  private attempt(): void {
    const candidate = this.candidates.shift();
    if (!candidate) return this.rest();
    const link = this.link(candidate);
    this.timer = setTimeout(
      () => link.lost(failure('timeout', 'Chloe did not answer in time.', true)),
      this.timeoutMs * Math.min(this.backoff.failures + 1, PATIENCE_MAX),
    );
    try {
      this.current = new candidate(link);
      this.current.open(this.owner.hello());
    } catch (error) {
      // As a page from https may not open ws.
      link.lost(error as ChloeError);
    }
  }

  /** Every transport failed, or the connection broke: waits. */
  private rest(): void {
    this.timer = setTimeout(() => this.begin(), this.backoff.next());
    this.enter('waiting');
  }

  /** What the transport about to be made may do, as long as it is the current one. */
  private link(candidate: TransportConstructor): Link {
    const { owner } = this;
    const generation = ++this.generation;
    const isCurrent = () => generation === this.generation;
    return {
      address: this.address,
      positions: () => owner.positions(),
      sessionId: () => owner.sessionId(),
      receive: (message) => {
        if (!isCurrent()) return;
        if (this.transport) owner.received(message);
        else if (message.type === 'connect') this.open(candidate, message);
        else if (message.type === 'error') this.lose(failureOf(message));
      },
      lost: (error) => {
        if (isCurrent()) this.lose(error);
      },
      problem: (error) => {
        if (isCurrent()) owner.problem(error);
      },
    };
  }

  private open(candidate: TransportConstructor, answer: ServerMessage): void {
    clearTimeout(this.timer);
    if (this.passedOver) remember(candidate.transportName);
    this.connectedAt = Date.now();
    this.transport = this.current;
    this.transportName = candidate.transportName;
    this.state = 'connected';
    this.owner.opened(answer);
    if (this.transport) this.owner.changed('connected');
  }

  private lose(error: ChloeError): void {
    const wasConnected = this.transport;
    if (wasConnected && Date.now() - this.connectedAt > STEADY_MS) this.backoff.failures = 0;
    const generation = this.generation + 1;
    this.drop(error);
    // A listener may have called disconnect(), and even connect() again.
    if (generation !== this.generation) return;
    if (wasConnected) return this.rest();
    this.passedOver = true;
    this.attempt();
  }

  /** Lets go of the current transport. */
  private drop(error?: ChloeError): void {
    clearTimeout(this.timer);
    this.generation++;
    const transport = this.current;
    this.current = this.transport = undefined;
    this.transportName = null;
    this.owner.dropped(transport ? transport.close() : [], error);
  }

  private enter(state: State): void {
    this.state = state;
    this.owner.changed(state);
  }

  /** The page may have slept, or changed networks: no reason to wait any longer. */
  private wake = (): void => {
    const hidden = typeof document !== 'undefined' && document.visibilityState === 'hidden';
    if (this.state === 'waiting' && !hidden) this.begin();
  };

  private listen(method: 'addEventListener' | 'removeEventListener'): void {
    if (typeof self === 'undefined' || !self[method]) return;
    self[method]('online', this.wake);
    self[method]('pageshow', this.wake);
    if (typeof document !== 'undefined') document[method]('visibilitychange', this.wake);
  }
}
