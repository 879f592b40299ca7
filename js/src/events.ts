// Lists of callbacks, and calling them so that one which throws breaks nothing. Used by client.ts.

// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Callback = (...values: any[]) => void;

export class Callbacks {
  private lists = new Map<string, Callback[]>();

  /** Whether anybody listens for `name`. */
  has(name: string): boolean {
    return this.lists.has(name);
  }

  /** Adds a callback, once. */
  add(name: string, callback: Callback): void {
    const list = this.lists.get(name) || [];
    // A new array each time: whoever is being called now keeps the list it began with.
    if (list.indexOf(callback) < 0) this.lists.set(name, list.concat(callback));
  }

  /** Removes one callback, or all of `name`. */
  remove(name: string, callback?: Callback): void {
    const rest = (this.lists.get(name) || []).filter((other) => callback && other !== callback);
    if (rest.length) this.lists.set(name, rest);
    else this.lists.delete(name);
  }

  /** The callbacks of `name`, in the order in which they were added. */
  of(name: string): Callback[] {
    return this.lists.get(name) || [];
  }

  /** All names that have a callback. */
  names(): string[] {
    return Array.from(this.lists.keys());
  }
}
