// WebSocket: one socket, one text frame a message.

import { urlOf } from '../address';
import { ClientMessage, decode, encode, failure } from '../message';
import { Link, Transport } from './transport';

/** After any close but these coming back is worth it: here our message broke a rule (RFC 6455, 7.4.1). */
const OUR_FAULT = [1002, 1003, 1007, 1008, 1009];

/** Half of the answers that Chloe remembers by default: none is forgotten that may be asked for again. */
const WINDOW = 32;

export class WebSocketTransport implements Transport {
  static transportName = 'websocket';
  window = WINDOW;
  private _socket?: WebSocket;

  static isEnabled(): boolean {
    // Some browsers say 'object', others 'function'.
    return typeof WebSocket !== 'undefined';
  }

  constructor(private _link: Link) {}

  open(connect: ClientMessage): void {
    const link = this._link;
    const socket = (this._socket = new WebSocket(urlOf(link.address, 'ws', '/chloe/websocket')));
    socket.onopen = () => this.send(connect);
    socket.onclose = ({ code, reason }) => {
      const sentence = 'The WebSocket closed with code ' + code + (reason ? ': ' + reason : '.');
      link.lost(failure('closed_' + code, sentence, OUR_FAULT.indexOf(code) < 0));
    };
    socket.onmessage = (event) => {
      const message = decode(event.data);
      if (message) link.receive([message]);
    };
  }

  send(message: ClientMessage): void {
    const socket = this._socket!;
    // A socket that is closing would drop it without a word; so do we, to send it by the next.
    if (socket.readyState === WebSocket.OPEN) socket.send(encode(message));
  }

  close(): void {
    const socket = this._socket;
    if (socket) {
      socket.onopen = socket.onclose = socket.onmessage = null;
      socket.close();
    }
  }
}
