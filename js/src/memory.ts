// Which transport worked here, when the first choice did not: so that the pages behind a proxy
// which breaks WebSocket do not try it again and again. Used by client.ts.

const KEY = 'chloe.transport';

/** Networks change, and a server that was just restarting is no broken proxy. */
const MEMORY_MS = 300000;

/** The name of the transport that worked lately, or nothing. */
export function recall(): string | undefined {
  const [name, until] = (withStorage((storage) => storage.getItem(KEY)) || '').split(' ');
  return +until > Date.now() ? name : undefined;
}

/** Notes the transport that worked. */
export function remember(name: string): void {
  withStorage((storage) => storage.setItem(KEY, name + ' ' + (Date.now() + MEMORY_MS)));
}

/** The next attempt finds out anew. */
export function forget(): void {
  withStorage((storage) => storage.removeItem(KEY));
}

/** Uses the storage, if there is one here and it is allowed; else the next page finds out for itself. */
function withStorage<T>(use: (storage: Storage) => T): T | undefined {
  try {
    return use(sessionStorage);
  } catch (_error) {
    return undefined;
  }
}
