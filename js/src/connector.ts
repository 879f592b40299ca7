// Gets a connection and keeps it: each transport in turn, with a time limit; then a wait, then
// again; at once when the page wakes. Knows no channels and no messages but the answer to a
// connect. Used by client.ts.

import { Address } from './address';
import { Backoff } from './backoff';
import { forget, recall, remember } from './memory';
import { ChloeError, ClientMessage, PositionTable, ServerMessage, failure, failureOf } from './message';
import { Link, Transport, TransportConstructor } from './transports/transport';

/** On a slow network the time limit grows up to this many times itself. */
const PATIENCE_MAX = 5;

/** A connection that lasted this long starts the backoff anew. */
const STEADY_MS = 5000;

/** So many rounds after a loss try only what worked: more likely the server restarts than a proxy breaks. */
const FAITHFUL_ROUNDS = 2;

/** Grace for a heartbeat, beside one that may be missing. */
const SILENCE_GRACE_MS = 5000;

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
  /** There will be no connection, unless the page asks for one again. */
  stopped(error: ChloeError): void;
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
  /** What worked last on this page, unless the network changed. */
  private proven?: TransportConstructor;
  private heardAt = 0;
  /** The longest silence of a healthy connection; 0: not known. */
  private silenceMs = 0;

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

  /** Ends, for good or, if `error` is given, for that. */
  stop(error?: ChloeError): void {
    if (this.state === 'closed') return;
    this.listen('removeEventListener');
    this.backoff.failures = 0;
    this.drop(error);
    this.owner.stopped(error || failure('disconnected', 'disconnect() was called.'));
    this.enter('closed');
  }

  private begin(): void {
    clearTimeout(this.timer);
    const enabled = this.transports.filter((transport) => transport.isEnabled());
    const name = this.proven ? this.proven.transportName : recall();
    const worked = (transport: TransportConstructor) => transport.transportName === name;
    this.candidates = enabled.filter(worked);
    if (!this.proven || this.backoff.failures > FAITHFUL_ROUNDS) {
      this.candidates = this.candidates.concat(enabled.filter((transport) => !worked(transport)));
    }
    this.passedOver = false;
    const generation = this.generation;
    this.enter('connecting');
    // A listener may have called disconnect().
    if (generation !== this.generation) return;
    if (enabled.length) return this.attempt();
    this.stop(failure('no_transport', 'This browser has none of the transports that the page allows.'));
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
      receive: (messages) => {
        if (!isCurrent()) return;
        if (this.transport) this.watch();
        // Each may be the one upon which the page disconnects.
        messages.forEach((message) => {
          if (!isCurrent()) return;
          if (this.transport) owner.received(message);
          // What comes before the answer belongs to a session that may not stay ours.
          else if (message.type === 'connect') this.open(candidate, message);
          else if (message.type === 'error') this.lose(failureOf(message));
        });
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
    this.proven = candidate;
    this.connectedAt = Date.now();
    this.silenceMs = answer.heartbeat ? 2 * answer.heartbeat + SILENCE_GRACE_MS : 0;
    this.watch();
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
    // Chloe is there and only forgot us: no reason to wait, the first time.
    if (error.code === 'unknown_session' && !this.backoff.failures) {
      this.backoff.failures = 1;
      return this.begin();
    }
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

  /** A connection can be dead without a word, after sleep or a change of networks. Silence tells. */
  private watch(): void {
    this.heardAt = Date.now();
    clearTimeout(this.timer);
    if (this.silenceMs) this.timer = setTimeout(this.silent, this.silenceMs);
  }

  private silent = (): void => this.lose(failure('silent', 'Chloe was silent for too long.', true));

  /** The page may have slept, or changed networks: no reason to wait any longer. */
  private wake = (event: Event): void => {
    if (typeof document !== 'undefined' && document.visibilityState === 'hidden') return;
    if (event.type === 'online') {
      // Another network, perhaps without the proxy that was in the way.
      this.proven = undefined;
      forget();
    }
    if (this.state === 'waiting') this.begin();
    // Timers stand still while a device sleeps.
    else if (this.transport && this.silenceMs && Date.now() - this.heardAt > this.silenceMs) this.silent();
  };

  private listen(method: 'addEventListener' | 'removeEventListener'): void {
    if (typeof self === 'undefined' || !self[method]) return;
    self[method]('online', this.wake);
    self[method]('pageshow', this.wake);
    if (typeof document !== 'undefined') document[method]('visibilitychange', this.wake);
  }
}
