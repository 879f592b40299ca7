// What XHR and JSONP share: messages go up one at a time, so that none overtakes another,
// while one held request, the poll, brings down what there is. How a request is made is theirs.

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

export abstract class PollingTransport implements Transport {
  idPrefix = '';
  protected closed = false;
  private queue: ClientMessage[] = [];
  private sending = false;
  private polling = false;
  private backoff = new Backoff();
  private pollTimer?: ReturnType<typeof setTimeout>;
  private sendTimer?: ReturnType<typeof setTimeout>;

  constructor(protected link: Link) {}

  /** Makes one request and calls `done` once, unless the transport was closed meanwhile. */
  protected abstract request(message: ClientMessage, limitMs: number, done: Done): void;

  backlog(): number {
    return this.queue.length;
  }

  open(connect: ClientMessage): void {
    this.request(connect, WAIT_MS, (answer) => {
      if (!answer || answer.type !== 'connect') return this.lose(answer);
      // The client restores its subscriptions in here; the first poll waits for that, since
      // what it brings may belong to one of them.
      this.link.receive([answer]);
      this.flush();
    });
  }

  send(message: ClientMessage): void {
    this.queue.push(message);
    this.flush();
  }

  close(): ClientMessage[] {
    this.closed = true;
    clearTimeout(this.pollTimer);
    clearTimeout(this.sendTimer);
    return this.queue;
  }

  protected poll(): void {
    if (this.closed) return;
    const { link } = this;
    const began = Date.now();
    const poll: ClientMessage = {
      type: 'poll',
      version: VERSION,
      sessionId: link.sessionId(),
      wait: WAIT_MS,
      positions: link.positions(),
    };
    this.request(poll, WAIT_MS + GRACE_MS, (answer) => {
      if (!answer || !answer.messages) return this.lose(answer);
      link.receive(answer.messages);
      // A server may answer at once, with nothing, for reasons of its own: no storm.
      const hasty = !answer.messages.length && Date.now() - began < HASTY_MS;
      if (hasty) this.pollTimer = setTimeout(() => this.poll(), HASTY_MS);
      else this.poll();
    });
  }

  private flush(): void {
    if (this.sending || this.closed) return;
    const message = this.queue[0];
    if (!message) {
      if (!this.polling) {
        this.polling = true;
        this.poll();
      }
      return;
    }
    this.sending = true;
    message.sessionId = this.link.sessionId();
    this.request(message, GRACE_MS, (answer) => {
      // What did not arrive stays in the queue, for the next connection.
      if (!answer) this.count(message);
      if (!answer || answer.code === 'unknown_session') return this.lose(answer);
      if (answer.type === 'error' && answer.temporary) {
        // Chloe takes no more for now. The connection is good, and so is the message.
        this.sendTimer = setTimeout(() => this.sent(), this.backoff.next());
        return;
      }
      this.backoff.failures = 0;
      this.queue.shift();
      if (answer.type) this.link.receive([answer]);
      this.sent();
    });
  }

  private count(message: ClientMessage): void {
    const count = (tries.get(message) || 0) + 1;
    tries.set(message, count);
    if (count === TRIES_MAX) {
      this.queue.shift();
      this.link.problem(failure('not_sent', 'A message got no answer ' + count + ' times: it is given up.'));
    }
  }

  private sent(): void {
    this.sending = false;
    this.flush();
  }

  private lose(answer: ServerMessage | undefined): void {
    this.link.lost(
      answer && answer.type === 'error'
        ? failureOf(answer)
        : failure('no_answer', 'Chloe did not answer as expected.', true),
    );
  }
}
