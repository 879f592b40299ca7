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
  /** The connection is gone. Called before the state changes. */
  dropped(error?: ChloeError): void;
  /** There will be no connection, unless the page asks for one again. */
  stopped(error: ChloeError): void;
}

export class Connector {
  state: State = 'closed';
  /** In use, once connected. */
  transport?: Transport;
  transportName: string | null = null;

  private _candidates: TransportConstructor[] = [];
  private _passedOver?: boolean;
  private _current?: Transport;
  /** Grows whenever `current` changes, so that a late call of a former one is known. */
  private _generation = 0;
  private _timer?: ReturnType<typeof setTimeout>;
  private _backoff = new Backoff();
  private _connectedAt!: number;
  /** What worked last on this page, unless the network changed. */
  private _proven?: TransportConstructor;
  private _heardAt!: number;
  /** The longest silence of a healthy connection; nothing: not known. */
  private _silenceMs?: number;

  constructor(
    private _owner: Owner,
    private _address: Address,
    private _transports: TransportConstructor[],
    private _timeoutMs: number,
  ) {}

  start(): void {
    if (this.state !== 'closed') return;
    this._listen('addEventListener');
    this._begin();
  }

  /** Ends, for good or, if `error` is given, for that. */
  stop(error?: ChloeError): void {
    if (this.state === 'closed') return;
    this._listen('removeEventListener');
    this._backoff.failures = 0;
    this._drop(error);
    this._owner.stopped(error || failure('disconnected', 'disconnect() was called.'));
    this._enter('closed');
  }

  private _begin(): void {
    clearTimeout(this._timer);
    const enabled = this._transports.filter((transport) => transport.isEnabled());
    const name = this._proven ? this._proven.transportName : recall();
    const worked = (transport: TransportConstructor) => transport.transportName === name;
    this._candidates = enabled.filter(worked);
    if (!this._proven || this._backoff.failures > FAITHFUL_ROUNDS) {
      this._candidates = this._candidates.concat(enabled.filter((transport) => !worked(transport)));
    }
    this._passedOver = false;
    const generation = this._generation;
    this._enter('connecting');
    // A listener may have called disconnect().
    if (generation !== this._generation) return;
    if (enabled.length) return this._attempt();
    this.stop(failure('no_transport', 'This browser has none of the transports allowed.'));
  }

  private _attempt(): void {
    const candidate = this._candidates.shift();
    if (!candidate) return this._rest();
    const link = this._link(candidate);
    this._timer = setTimeout(
      () => link.lost(failure('timeout', 'Chloe did not answer in time.', true)),
      this._timeoutMs * Math.min(this._backoff.failures + 1, PATIENCE_MAX),
    );
    try {
      this._current = new candidate(link);
      this._current.open(this._owner.hello());
    } catch (error) {
      // As a page from https may not open ws.
      link.lost(error as ChloeError);
    }
  }

  /** Every transport failed, or the connection broke: waits. */
  private _rest(): void {
    this._timer = setTimeout(() => this._begin(), this._backoff.next());
    this._enter('waiting');
  }

  /** What the transport about to be made may do, as long as it is the current one. */
  private _link(candidate: TransportConstructor): Link {
    const owner = this._owner;
    const generation = ++this._generation;
    const isCurrent = () => generation === this._generation;
    return {
      address: this._address,
      positions: () => owner.positions(),
      sessionId: () => owner.sessionId(),
      receive: (messages) => {
        if (!isCurrent()) return;
        if (this.transport) this._watch();
        // Each may be the one upon which the page disconnects.
        messages.forEach((message) => {
          if (!isCurrent()) return;
          if (this.transport) owner.received(message);
          // What comes before the answer belongs to a session that may not stay ours.
          else if (message.type === 'connect') this._open(candidate, message);
          else if (message.type === 'error') this._lose(failureOf(message));
        });
      },
      lost: (error) => {
        if (isCurrent()) this._lose(error);
      },
    };
  }

  private _open(candidate: TransportConstructor, answer: ServerMessage): void {
    clearTimeout(this._timer);
    if (this._passedOver) remember(candidate.transportName);
    this._proven = candidate;
    this._connectedAt = Date.now();
    this._silenceMs = answer.heartbeat && 2 * answer.heartbeat + SILENCE_GRACE_MS;
    this._watch();
    this.transport = this._current;
    this.transportName = candidate.transportName;
    this.state = 'connected';
    this._owner.opened(answer);
    if (this.transport) this._owner.changed('connected');
  }

  private _lose(error: ChloeError): void {
    const wasConnected = this.transport;
    if (wasConnected && Date.now() - this._connectedAt > STEADY_MS) this._backoff.failures = 0;
    const generation = this._generation + 1;
    this._drop(error);
    // A listener may have called disconnect(), and even connect() again.
    if (generation !== this._generation) return;
    // Chloe is there and only forgot us: no reason to wait, the first time.
    if (error.code === 'unknown_session' && !this._backoff.failures) {
      this._backoff.failures = 1;
      return this._begin();
    }
    if (wasConnected) return this._rest();
    this._passedOver = true;
    this._attempt();
  }

  /** Lets go of the current transport. */
  private _drop(error?: ChloeError): void {
    clearTimeout(this._timer);
    this._generation++;
    const transport = this._current;
    this._current = this.transport = undefined;
    this.transportName = null;
    if (transport) transport.close();
    this._owner.dropped(error);
  }

  private _enter(state: State): void {
    this.state = state;
    this._owner.changed(state);
  }

  /** A connection can be dead without a word, after sleep or a change of networks. Silence tells. */
  private _watch(): void {
    this._heardAt = Date.now();
    clearTimeout(this._timer);
    if (this._silenceMs) this._timer = setTimeout(this._silent, this._silenceMs);
  }

  private _silent = (): void => this._lose(failure('silent', 'Chloe was silent for too long.', true));

  /** The page may have slept, or changed networks: no reason to wait any longer. */
  private _wake = (event: Event): void => {
    if (typeof document !== 'undefined' && document.visibilityState === 'hidden') return;
    if (event.type === 'online') {
      // Another network, perhaps without the proxy that was in the way. What was begun by the
      // one before is dead, and may not know it for a minute; nor do its failures count.
      this._proven = undefined;
      forget();
      this._candidates = [];
      if (this._current) this._silent();
      this._backoff.failures = 0;
    }
    if (this.state === 'waiting') this._begin();
    // Timers stand still while a device sleeps.
    else if (this.transport && this._silenceMs && Date.now() - this._heardAt > this._silenceMs) this._silent();
  };

  private _listen(method: 'addEventListener' | 'removeEventListener'): void {
    if (typeof self === 'undefined' || !self[method]) return;
    self[method]('online', this._wake);
    self[method]('pageshow', this._wake);
    if (typeof document !== 'undefined') document[method]('visibilitychange', this._wake);
  }
}
