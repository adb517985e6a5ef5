import type { Unwatch } from '../unwatch.ts';

/** A value and the versions of its key. */
export interface Entry<T> {
  readonly value: T;
  /** Of the change that created the key. */
  readonly createRevision: number;
  /** Of the change that wrote this value, or something unreadable over it. */
  readonly modRevision: number;
}

/** What happened to one id. `previous` is what was there before. */
export type TableChange<T> =
  | {
      readonly kind: 'put';
      readonly id: string;
      readonly entry: Entry<T>;
      readonly previous: Entry<T> | undefined;
    }
  | { readonly kind: 'deleted'; readonly id: string; readonly previous: Entry<T> };

/** Values of one kind by id, as this node has seen them. Tells its watchers in order and in the same turn. */
export class Table<T> {
  readonly #entries = new Map<string, Entry<T>>();
  readonly #watchers = new Set<(change: TableChange<T>) => void>();

  get size(): number {
    return this.#entries.size;
  }

  get(id: string): Entry<T> | undefined {
    return this.#entries.get(id);
  }

  ids(): IterableIterator<string> {
    return this.#entries.keys();
  }

  entries(): IterableIterator<[string, Entry<T>]> {
    return this.#entries.entries();
  }

  /** Calls `watcher` for each change from now on; it must not throw. */
  watch(watcher: (change: TableChange<T>) => void): Unwatch {
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  put(id: string, entry: Entry<T>): void {
    const previous = this.#entries.get(id);
    this.#entries.set(id, entry);
    this.#tell({ kind: 'put', id, entry, previous });
  }

  /** Notes a version whose value cannot be read: the value before it stays. */
  skip(id: string, modRevision: number): void {
    const entry = this.#entries.get(id);
    if (entry) this.#entries.set(id, { ...entry, modRevision });
  }

  delete(id: string): void {
    const previous = this.#entries.get(id);
    if (!previous) return;
    this.#entries.delete(id);
    this.#tell({ kind: 'deleted', id, previous });
  }

  clearWatchers(): void {
    this.#watchers.clear();
  }

  #tell(change: TableChange<T>): void {
    for (const watcher of [...this.#watchers]) watcher(change);
  }
}
