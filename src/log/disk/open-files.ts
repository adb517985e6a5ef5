import type { FileSystem, OpenFile } from './file-system.ts';

interface Entry {
  readonly opening: Promise<OpenFile>;
  users: number;
  /** To be closed when the last user has finished. */
  unwanted: boolean;
}

/**
 * Files that are open for reading, over all logs of a node: those used last stay open, up to a number.
 *
 * A file that is removed or replaced while somebody reads it is read to the end as it was, as the system has it.
 */
export class OpenFiles {
  readonly #files: FileSystem;
  readonly #max: number;
  /** In order of last use. */
  readonly #entries = new Map<string, Entry>();
  readonly #closing = new Set<Promise<void>>();

  /** @param max files that stay open while nobody uses them */
  constructor(files: FileSystem, max: number) {
    this.#files = files;
    this.#max = max;
  }

  /** Files open now. */
  get size(): number {
    return this.#entries.size;
  }

  /** Lets `work` read the file at `path`. @throws what opening it throws, and `work` */
  async use<T>(path: string, work: (file: OpenFile) => Promise<T>): Promise<T> {
    const entry = this.#take(path);
    entry.users++;
    try {
      return await work(await entry.opening);
    } catch (error) {
      // It may be another file by now, or no longer to be read.
      this.forget(path);
      throw error;
    } finally {
      entry.users--;
      this.#closeUnused(entry);
      this.#shrink();
    }
  }

  /** Closes the file once nobody uses it any more, because there is, or may be, another one of its name. */
  forget(path: string): void {
    const entry = this.#entries.get(path);
    if (!entry) return;
    this.#entries.delete(path);
    entry.unwanted = true;
    this.#closeUnused(entry);
  }

  /** Resolves when everything that was forgotten and is not used is closed. */
  async settled(): Promise<void> {
    await Promise.all(this.#closing);
  }

  #take(path: string): Entry {
    const known = this.#entries.get(path);
    if (known) {
      this.#entries.delete(path);
      this.#entries.set(path, known);
      return known;
    }
    const entry = { opening: this.#files.open(path, { readOnly: true }), users: 0, unwanted: false };
    entry.opening.catch(() => undefined);
    this.#entries.set(path, entry);
    return entry;
  }

  #shrink(): void {
    if (this.#entries.size <= this.#max) return;
    for (const [path, { users }] of this.#entries) {
      if (users === 0) this.forget(path);
      if (this.#entries.size <= this.#max) return;
    }
  }

  #closeUnused(entry: Entry): void {
    if (!entry.unwanted || entry.users > 0) return;
    const closing = entry.opening
      .then((file) => file.close())
      .catch(() => undefined)
      .finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }
}
