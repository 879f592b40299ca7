// Which transport worked here, when the first choice did not: so that the pages behind a proxy
// which breaks WebSocket do not try it again and again. Used by client.ts.

const KEY = 'chloe.transport';

/** Networks change, and a server that was just restarting is no broken proxy. */
const MEMORY_MS = 300000;

/** The name of the transport that worked lately, or nothing. */
export function recall(): string | undefined {
  try {
    const [name, until] = (sessionStorage.getItem(KEY) || '').split(' ');
    return +until > Date.now() ? name : undefined;
  } catch (_error) {
    // No storage here, or not allowed.
    return undefined;
  }
}

/** Notes the transport that worked. */
export function remember(name: string): void {
  try {
    sessionStorage.setItem(KEY, name + ' ' + (Date.now() + MEMORY_MS));
  } catch (_error) {
    // Then the next page finds out for itself.
  }
}

/** The next attempt finds out anew. */
export function forget(): void {
  try {
    sessionStorage.removeItem(KEY);
  } catch (_error) {
    // There was nothing to forget.
  }
}
