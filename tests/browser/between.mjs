// A proxy between the browser and Chloe that breaks as networks do: with a bang, or without a word.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';

/** What a server adds to the key of a WebSocket handshake (RFC 6455, 1.3). */
const HANDSHAKE_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

export class Between {
  /** Whether it carries anything to `port`; if not, connections are closed at once. */
  whole = true;
  /** Everything that comes is lost, and nothing is closed: also what comes later on a connection of now. */
  drops = false;
  /** WebSockets are opened, and then nothing. */
  swallows = false;
  sockets = new Set();
  server = net.createServer((near) => this.accept(near));

  constructor(port) {
    this.target = port;
  }

  async start() {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    this.port = this.server.address().port;
    return this;
  }

  accept(near) {
    near.on('error', () => {}).on('close', () => this.sockets.delete(near));
    if (!this.whole) return near.destroy();
    this.sockets.add(near);
    if (this.drops) return lose(near);
    near.once('data', (first) => {
      if (this.drops) return lose(near);
      const key = /^sec-websocket-key: *(\S+)/im.exec(first.toString('latin1'));
      if (key && this.swallows) return this.swallow(near, key[1]);
      const far = net.connect(this.target, '127.0.0.1');
      far.on('error', () => {}).on('close', () => near.lost || near.destroy());
      near.on('close', () => far.destroy());
      near.far = far;
      far.write(first);
      near.pipe(far).pipe(near);
    });
  }

  swallow(near, key) {
    const accept = createHash('sha1').update(key + HANDSHAKE_GUID).digest('base64');
    near.write(
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
        `Sec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    near.resume();
  }

  /** Closes every connection, and those to come until `whole` is set again. */
  cut() {
    this.whole = false;
    for (const socket of this.sockets) socket.destroy();
  }

  /** From now until `drops` is unset nothing comes through; the connections of now and then never live again. */
  drop() {
    this.drops = true;
    for (const socket of this.sockets) lose(socket);
  }

  stop() {
    this.cut();
    this.server.close();
  }
}

/** Lets both ends of a connection stand there, unheard. */
function lose(near) {
  near.lost = true;
  near.unpipe();
  near.resume();
  if (!near.far) return;
  near.far.unpipe();
  near.far.resume();
}
