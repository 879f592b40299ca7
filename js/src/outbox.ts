// Messages that the app has not taken yet. They go out in order, some at a time; the next
// connection sends them again, with the same ids, by which Chloe knows them. Used by client.ts.

import { ChloeError, ClientMessage, VERSION, failure } from './message';
import { Transport } from './transports/transport';

/** Messages that may wait, sent or not. More are refused. */
const WAITING_MAX = 1000;

interface Entry {
  message: ClientMessage;
  resolve(answer: unknown): void;
  reject(error: ChloeError): void;
  timer?: ReturnType<typeof setTimeout>;
}

export class Outbox {
  private _entries: Entry[] = [];
  /** So many of them are under way. */
  private _sent = 0;

  /** `failed` is told every failure, whether or not somebody handles the promise. */
  constructor(
    private _transport: () => Transport | undefined,
    private _failed: (error: ChloeError) => void,
  ) {}

  /** Takes a message; what is promised is the app's answer. */
  add(id: string, data: string, timeoutMs?: number): Promise<unknown> {
    const promise = new Promise((resolve, reject) => {
      const timer =
        timeoutMs &&
        setTimeout(
          () => this.settle(id, failure('timeout', 'The app has not taken a message in ' + timeoutMs + ' ms.', true)),
          timeoutMs,
        );
      const entry = { message: { type: 'message', version: VERSION, id, data }, resolve, reject, timer } as Entry;
      this._entries.push(entry);
      if (this._entries.length > WAITING_MAX) {
        this.settle(id, failure('queue_full', 'A message was dropped: ' + WAITING_MAX + ' wait already.', true));
      }
    });
    // A page that does not look at the promise listens to errors.
    promise.catch(() => {});
    this.flush();
    return promise;
  }

  /** Sends what may be under way beside what is. */
  flush(): void {
    const transport = this._transport();
    if (!transport) this._sent = 0;
    else while (this._sent < transport.window && this._entries[this._sent]) transport.send(this._entries[this._sent++].message);
  }

  /** The connection broke for a message that was too long: one of those under way. False: there is none. */
  tooLong(error: ChloeError): boolean {
    const sent = this._entries.slice(0, this._sent);
    const longest = sent.sort((one, other) => other.message.data!.length - one.message.data!.length)[0];
    return !!longest && this.settle(longest.message.id as string, error);
  }

  /** The message `id` was taken, or failed. False: it is not here. */
  settle(id: string, error?: ChloeError, answer?: unknown): boolean {
    const index = this._entries.findIndex((entry) => entry.message.id === id);
    if (index < 0) return false;
    const entry = this._entries.splice(index, 1)[0];
    if (index < this._sent) this._sent--;
    clearTimeout(entry.timer);
    if (error) {
      entry.reject(error);
      this._failed(error);
    } else entry.resolve(answer);
    this.flush();
    return true;
  }
}
