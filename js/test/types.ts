// Compiled, never run: what src/chloe.d.ts promises is what src/client.ts is.

import { Chloe as Declared, ChloeTransport } from '../src/chloe';
import { Chloe } from '../src/client';

declare const made: Chloe;
export const instance: Declared = made;
export const transports: ChloeTransport[] = [Chloe.WebSocketTransport, Chloe.XhrTransport, Chloe.JsonpTransport];
export const maker: new (options: { host: string; port: number; https: boolean }) => Declared = Chloe;

/** A page as one writes it. */
export async function page(chloe: Declared): Promise<void> {
  chloe.on('state', (state) => state === 'connected').on('error', (error) => error.code);
  chloe.on('gap', (gap) => gap.missed);
  chloe.on('recovered', ({ channel, recovered }) => recovered || chloe.position(channel));
  chloe.subscribe('news', (data) => chloe.send(data), { since: 'aa:1' });
  const { total } = await chloe.send('x', { timeoutMs: 1000 });
  await chloe.send(total, { timeout_ms: 1000 });
  await chloe.connect();
  new Declared({ transports: ['xhr', Declared.JsonpTransport] }).connect(() => {});
}
