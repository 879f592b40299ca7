// WebSocket: one socket, one text frame a message.

import { urlOf } from '../address';
import { ClientMessage, decode, encode, failure } from '../message';
import { Link, Transport } from './transport';

export class WebSocketTransport implements Transport {
  static transportName = 'websocket';
  idPrefix = '';
  private socket?: WebSocket;
  private silenceTimer?: ReturnType<typeof setTimeout>;
  private heartbeatMs = 0;
  private unsent: ClientMessage[] = [];

  static isEnabled(): boolean {
    // Some browsers say 'object', others 'function'.
    return typeof WebSocket !== 'undefined';
  }

  constructor(private link: Link) {}

  open(connect: ClientMessage): void {
    const { link } = this;
    const socket = (this.socket = new WebSocket(urlOf(link.address, 'ws', '/chloe/websocket')));
    socket.onopen = () => this.send(connect);
    socket.onclose = (event) => link.lost(failure('closed', 'The WebSocket closed with code ' + event.code + '.', true));
    socket.onmessage = (event) => {
      const message = decode(event.data);
      if (message && message.heartbeat) this.heartbeatMs = message.heartbeat;
      this.watch();
      if (message) link.receive(message);
    };
  }

  send(message: ClientMessage): void {
    const socket = this.socket!;
    // A socket that is closing would drop it without a word.
    if (socket.readyState === WebSocket.OPEN) socket.send(encode(message));
    else this.unsent.push(message);
  }

  close(): ClientMessage[] {
    clearTimeout(this.silenceTimer);
    const { socket } = this;
    if (socket) {
      socket.onopen = socket.onclose = socket.onmessage = null;
      socket.close();
    }
    return this.unsent;
  }

  /** A socket can be dead without a word, after sleep or a change of networks. Silence tells. */
  private watch(): void {
    clearTimeout(this.silenceTimer);
    if (this.heartbeatMs) {
      this.silenceTimer = setTimeout(
        () => this.link.lost(failure('silent', 'Chloe was silent for too long.', true)),
        2 * this.heartbeatMs + 5000,
      );
    }
  }
}
