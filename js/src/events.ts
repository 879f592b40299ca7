// Lists of callbacks, and calling them so that one which throws breaks nothing. Used by client.ts.

// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Callback = (...values: any[]) => void;

export class Callbacks {
  private _lists = new Map<string, Callback[]>();

  /** Whether `name` was added, with a callback or without. */
  has(name: string): boolean {
    return this._lists.has(name);
  }

  /** Adds a callback, once; or only the name. */
  add(name: string, callback?: Callback): void {
    const list = this.of(name);
    const isNew = callback && list.indexOf(callback) < 0;
    // A new array each time: whoever is being called now keeps the list it began with.
    this._lists.set(name, isNew ? list.concat(callback!) : list);
  }

  /** Removes one callback, or all of `name`. */
  remove(name: string, callback?: Callback): void {
    const rest = this.of(name).filter((other) => callback && other !== callback);
    if (rest.length) this._lists.set(name, rest);
    else this._lists.delete(name);
  }

  /** The callbacks of `name`, in the order in which they were added. */
  of(name: string): Callback[] {
    return this._lists.get(name) || [];
  }

  /** All names that were added. */
  names(): string[] {
    return [...this._lists.keys()];
  }
}
