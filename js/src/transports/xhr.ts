// XMLHttpRequest: a POST for each message, and one that is held for the poll. The session's id is in the
// body, since logs keep URLs. All are "simple" requests in the sense of CORS (Fetch, 2.2.2: safelisted
// method and headers), so that no browser asks for permission with a request of its own first.

import { urlOf } from '../address';
import { ClientMessage, decode, encode } from '../message';
import { Done, PollingTransport } from './polling';

export class XhrTransport extends PollingTransport {
  static transportName = 'xhr';
  private _requests = new Set<XMLHttpRequest>();

  static isEnabled(): boolean {
    return typeof XMLHttpRequest !== 'undefined' && 'withCredentials' in new XMLHttpRequest();
  }

  close(): void {
    super.close();
    this._requests.forEach((request) => request.abort());
  }

  protected _request(message: ClientMessage, limitMs: number, done: Done): void {
    const request = new XMLHttpRequest();
    this._requests.add(request);
    request.onloadend = () => {
      this._requests.delete(request);
      if (!this._closed) done(answerOf(request));
    };
    request.open('POST', urlOf(this._link.address, 'http', '/chloe/xhr'));
    request.timeout = limitMs;
    request.setRequestHeader('Content-Type', 'application/x-www-form-urlencoded; charset=utf-8');
    request.send('data=' + encodeURIComponent(encode(message)));
  }
}

/** Nothing, if the request may not have arrived; else what the server said. */
function answerOf(request: XMLHttpRequest): ReturnType<typeof decode> {
  const { status, responseText } = request;
  // No connection, no answer in time, or one without the header that CORS wants.
  if (!status) return undefined;
  const answer = decode(responseText);
  if (status < 300) return answer;
  const refused: ReturnType<typeof decode> =
    answer && answer.type === 'error'
      ? answer
      : // Some other server's words, a proxy's perhaps.
        {
          type: 'error',
          code: 'http_' + status,
          message: responseText || 'HTTP status ' + status,
          temporary: status === 429 || status >= 500,
        };
  refused.after = +request.getResponseHeader('Retry-After')!;
  return refused;
}
