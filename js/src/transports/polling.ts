// What XHR and JSONP share: messages go up one at a time, so that none overtakes another,
// while one held request, the poll, brings down what there is. How a request is made is theirs.

import { ClientMessage, ServerMessage, VERSION, failure, failureOf } from '../message';
import { Link, Transport } from './transport';

/** How long the server may hold a poll. Proxies drop what is silent for much longer. */
const WAIT_MS = 25000;

/** How long past its due time an answer may be late. */
const GRACE_MS = 10000;

/** A poll that comes back sooner than this, with nothing, is not repeated at once. */
const HASTY_MS = 500;

/** What became of a request: an answer (an error of the server is one), or nothing, which is worth another try. */
export type Done = (answer: ServerMessage | undefined) => void;

export abstract class PollingTransport implements Transport {
  idPrefix = '';
  protected closed = false;
  private queue: ClientMessage[] = [];
  private sending = false;
  private pauseTimer?: ReturnType<typeof setTimeout>;

  constructor(protected link: Link) {}

  /** Makes one request and calls `done` once, unless the transport was closed meanwhile. */
  protected abstract request(message: ClientMessage, limitMs: number, done: Done): void;

  open(connect: ClientMessage): void {
    this.request(connect, GRACE_MS, (answer) => {
      if (this.survives(answer, 'connect')) {
        this.link.receive(answer!);
        this.poll();
      }
    });
  }

  send(message: ClientMessage): void {
    this.queue.push(message);
    this.flush();
  }

  close(): ClientMessage[] {
    this.closed = true;
    clearTimeout(this.pauseTimer);
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
      if (!this.survives(answer, 'poll')) return;
      const messages = answer!.messages!;
      messages.forEach((message) => link.receive(message));
      // A server that is shutting down answers at once.
      const pauseMs = messages.length || Date.now() - began > HASTY_MS ? 0 : HASTY_MS;
      if (pauseMs) this.pauseTimer = setTimeout(() => this.poll(), pauseMs);
      else this.poll();
    });
  }

  private flush(): void {
    const message = this.queue[0];
    if (this.sending || this.closed || !message) return;
    this.sending = true;
    message.sessionId = this.link.sessionId();
    this.request(message, GRACE_MS, (answer) => {
      this.sending = false;
      // What got no answer stays in the queue, for the next connection.
      if (!answer || answer.code === 'unknown_session') return void this.survives(answer);
      this.queue.shift();
      if (answer.type) this.link.receive(answer);
      this.flush();
    });
  }

  /** Whether the connection goes on after this answer, which has to be of `type` if one is named. */
  private survives(answer: ServerMessage | undefined, type?: string): boolean {
    if (answer && (type === 'poll' ? answer.messages : answer.type === type)) return true;
    this.link.lost(
      answer && answer.type === 'error'
        ? failureOf(answer)
        : failure('no_answer', 'Chloe did not answer as expected.', true),
    );
    return false;
  }
}
