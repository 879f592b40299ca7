// What XHR and JSONP share: messages go up one at a time, so that none overtakes another, while
// one held request, the poll, brings down what there is. How a request is made is theirs.

import { Backoff } from '../backoff';
import { ClientMessage, ServerMessage, VERSION, failure, failureOf } from '../message';
import { Link, Transport } from './transport';

/** How long the server may hold a poll. Proxies drop what is silent for much longer. */
const WAIT_MS = 25000;

/** How long past its due time an answer may be late. */
const GRACE_MS = 10000;

/** A poll that comes back sooner than this, with nothing, is not repeated at once. */
const HASTY_MS = 500;

/** So often a message is sent without an answer before it is taken for the reason that there is none. */
const TRIES_MAX = 5;

/** How often a message was sent without an answer, over all connections. */
const tries = new WeakMap<ClientMessage, number>();

/** What became of a request: an answer, which may be an error, or nothing: it may not have arrived. */
export type Done = (answer: ServerMessage | undefined) => void;

/** Messages that go one at a time, so that none overtakes another. */
interface Lane {
  queue: ClientMessage[];
  busy?: boolean;
}

export abstract class PollingTransport implements Transport {
  window = 1;
  protected _closed?: boolean;
  /** What is asked of Chloe itself, and what is for the app, which may take its time. */
  private _asks: Lane = { queue: [] };
  private _messages: Lane = { queue: [] };
  private _polling?: boolean;
  private _batch = 0;
  /** What ended the polls, while a message still waits for its answer. */
  private _stopping?: ServerMessage;
  private _backoff = new Backoff();
  private _timers: ReturnType<typeof setTimeout>[] = [];

  constructor(protected _link: Link) {}

  /** Makes one request and calls `done` once, unless the transport was closed meanwhile. */
  protected abstract _request(message: ClientMessage, limitMs: number, done: Done): void;

  open(connect: ClientMessage): void {
    this._request(connect, WAIT_MS, (answer) => {
      if (!answer || answer.type !== 'connect') return this._lose(answer);
      // The client restores its subscriptions in here; the first poll waits for that, since
      // what it brings may belong to one of them.
      this._link.receive([answer]);
      this._flush();
    });
  }

  send(message: ClientMessage): void {
    (message.type === 'message' ? this._messages : this._asks).queue.push(message);
    this._flush();
  }

  close(): void {
    this._closed = true;
    this._timers.forEach(clearTimeout);
  }

  protected _poll(): void {
    if (this._closed) return;
    const link = this._link;
    const began = Date.now();
    const poll: ClientMessage = {
      type: 'poll',
      version: VERSION,
      sessionId: link.sessionId(),
      wait: WAIT_MS,
      positions: link.positions(),
      batch: this._batch,
    };
    this._request(poll, WAIT_MS + GRACE_MS, (answer) => {
      // A server that stops has still to answer what the app is being asked.
      if (answer && answer.code === 'stopping' && this._messages.busy) this._stopping = answer;
      else if (!answer || !answer.messages) this._lose(answer);
      else {
        this._batch = answer.batch || this._batch;
        this._heard(answer.messages, began);
      }
    });
  }

  private _heard(messages: ServerMessage[], began: number): void {
    this._link.receive(messages);
    // A server may answer at once, with nothing, for reasons of its own: no storm.
    const hasty = !messages.length && Date.now() - began < HASTY_MS;
    if (hasty) this._timers[0] = setTimeout(() => this._poll(), HASTY_MS);
    else this._poll();
  }

  private _flush(): void {
    this._carry(this._asks);
    // What is asked first is to hold for what follows: a message, or what a poll brings.
    if (this._closed || this._asks.queue.length) return;
    this._carry(this._messages);
    if (!this._polling) {
      this._polling = true;
      this._poll();
    }
  }

  /** Sends the first of a lane, unless one is under way. */
  private _carry(lane: Lane): void {
    const message = lane.queue[0];
    if (!message || lane.busy || this._closed) return;
    const began = Date.now();
    lane.busy = true;
    message.sessionId = this._link.sessionId();
    const next = (answer?: ServerMessage) => {
      if (answer) {
        lane.queue.shift();
        if (answer.type) this._link.receive([answer]);
      }
      lane.busy = false;
      if (this._stopping) this._lose(this._stopping);
      else this._flush();
    };
    this._request(message, WAIT_MS, (answer) => {
      if (answer && answer.code !== 'unknown_session') {
        const later = answer.type === 'error' && answer.temporary && answer.code !== 'app_unavailable';
        // Chloe takes no more for now. The connection is good, and so is the message.
        if (later) this._timers[1] = setTimeout(next, this._backoff.next() + (answer.after || 0) * 1000);
        else {
          this._backoff.failures = 0;
          next(answer);
        }
      } else if (!answer && lane === this._messages && Date.now() - began >= WAIT_MS) {
        // The app takes its time. Whether Chloe is there, the poll tells.
        next();
      } else {
        if (!answer) this._count(message);
        this._lose(answer);
      }
    });
  }

  private _count(message: ClientMessage): void {
    const count = (tries.get(message) || 0) + 1;
    tries.set(message, count);
    if (count === TRIES_MAX) {
      const sentence = 'A message was dropped: no answer ' + count + ' times.';
      this._link.receive([refusal('not_sent', sentence, message)]);
    }
  }

  private _lose(answer: ServerMessage | undefined): void {
    this._link.lost(
      answer && answer.type === 'error'
        ? failureOf(answer)
        : failure('no_answer', 'Chloe did not answer as expected.', true),
    );
  }
}

/** What a server would say to a message that does not get to it. */
export function refusal(code: string, sentence: string, { id, channel }: ClientMessage): ServerMessage {
  return { type: 'error', id, code, message: sentence, channel };
}
