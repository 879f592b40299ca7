// How long to wait before the next attempt. No timer here, only the number. Used by client.ts.

const SHORTEST_MS = 500;
const LONGEST_MS = 20000;

/**
 * Doubling with full jitter: any time from nothing to the bound, so that the browsers
 * which lost a server in the same moment do not all come back in the same moment.
 */
export class Backoff {
  /** Attempts that failed since the last good connection. */
  failures = 0;

  /** The wait after one more failure, in milliseconds. */
  next(): number {
    const bound = Math.min(LONGEST_MS, SHORTEST_MS * Math.pow(2, this.failures));
    this.failures++;
    return Math.random() * bound;
  }
}
