// Where Chloe is: from the options, from the script tag that loaded this client, or from the page.
// Used by client.ts; the two entry files tell it where the script came from.

/** Chloe's port when nothing says otherwise. */
const PORT = 8901;

export interface AddressOptions {
  host?: string;
  port?: number | string;
  https?: boolean;
}

export interface Address {
  host: string;
  port: number;
  https: boolean;
}

let scriptUrl: URL | undefined;

/** Notes where this script was loaded from. A URL without a host, such as file://, tells nothing. */
export function loadedFrom(url: string | undefined): void {
  try {
    const parsed = new URL(url!);
    scriptUrl = parsed.hostname ? parsed : undefined;
  } catch (_error) {
    scriptUrl = undefined;
  }
}

/** The server's address. A host given without a port means Chloe's own port, as it always did. */
export function addressOf(options: AddressOptions): Address {
  // A worker has a location too; Node has none.
  const page = typeof location === 'undefined' ? undefined : location;
  const base = options.host ? undefined : scriptUrl;
  const https = options.https === undefined ? (base || page || { protocol: '' }).protocol === 'https:' : options.https;
  return {
    host: options.host || (base || page || { hostname: '' }).hostname || 'localhost',
    port: +(options.port || (base ? base.port || (base.protocol === 'https:' ? 443 : 80) : PORT)),
    https,
  };
}

/** The URL of `path` at `address`, with scheme `http` or `ws`. */
export function urlOf(address: Address, scheme: string, path: string): string {
  return scheme + (address.https ? 's' : '') + '://' + address.host + ':' + address.port + path;
}
