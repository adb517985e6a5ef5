import type { FileSystem } from './file-system.ts';
import { UNFINISHED, filePath } from './file-names.ts';
import type { Snapshot } from './snapshot.ts';
import { decodeSnapshot } from './snapshot.ts';

/** So many of the newest are kept: the last is used, the one before is for the day it cannot be read. */
const NEWEST_KEPT = 2;

/** The snapshots in a log's directory. */
export class Snapshots {
  readonly #directory: string;
  readonly #files: FileSystem;
  /** Offsets of those that are there, rising. */
  #offsets: number[];

  constructor(directory: string, files: FileSystem, offsets: readonly number[]) {
    this.#directory = directory;
    this.#files = files;
    this.#offsets = [...offsets];
  }

  /** Offset of the newest; −1 when there is none. */
  get newest(): number {
    return this.#offsets.at(-1) ?? -1;
  }

  /**
   * The newest one at or below `maxOffset` that can be read and that `accept` takes.
   * @param accept may throw: the next older one is tried then
   */
  async find(
    maxOffset: number,
    accept: (snapshot: Snapshot) => boolean | Promise<boolean>,
  ): Promise<Snapshot | undefined> {
    for (const offset of this.#offsets.filter((one) => one <= maxOffset).reverse()) {
      try {
        const snapshot = decodeSnapshot(await this.#files.readFile(this.#path(offset)));
        if (snapshot?.facts.offset === offset && (await accept(snapshot))) return snapshot;
      } catch {
        // As good as none.
      }
    }
    return undefined;
  }

  /**
   * Makes a snapshot durable and drops the ones it replaces: all but the newest, and the first at or behind each of `bases`, which make
   * it cheap to cut the log off there, or to begin there.
   */
  async write(offset: number, bytes: Buffer, bases: readonly number[] = []): Promise<void> {
    await replaceFile(this.#files, this.#directory, this.#path(offset), bytes);
    const all = [...this.#offsets.filter((one) => one !== offset), offset].sort((a, b) => a - b);
    const kept = new Set(all.slice(-NEWEST_KEPT));
    for (const base of bases) kept.add(all.find((one) => one >= base) ?? offset);
    this.#offsets = all.filter((one) => kept.has(one));
    for (const one of all) if (!kept.has(one)) await this.#remove(one);
  }

  /** They are gone, with everything they spoke of. */
  clear(): void {
    this.#offsets = [];
  }

  /** Removes those above `offset`: what they speak of is not there any more. */
  async removeAbove(offset: number): Promise<void> {
    const gone = this.#offsets.filter((one) => one > offset);
    this.#offsets = this.#offsets.filter((one) => one <= offset);
    for (const one of gone) await this.#files.removeFile(this.#path(one));
    if (gone.length > 0) await this.#files.syncDirectory(this.#directory);
  }

  /** Removes those at or below `offset`, durably: files that they speak of are about to change. */
  async removeUpTo(offset: number): Promise<void> {
    const gone = this.#offsets.filter((one) => one <= offset);
    for (const one of gone) {
      await removeIfThere(this.#files, this.#path(one));
      this.#offsets = this.#offsets.filter((other) => other !== one);
    }
    if (gone.length > 0) await this.#files.syncDirectory(this.#directory);
  }

  async #remove(offset: number): Promise<void> {
    // One that stays is no harm.
    await this.#files.removeFile(this.#path(offset)).catch(() => undefined);
  }

  #path(offset: number): string {
    return filePath(this.#directory, offset, 'snapshot');
  }
}

/** Writes a file so that after a crash there is the old one, or none, or the whole new one. */
export async function replaceFile(
  files: FileSystem,
  directory: string,
  path: string,
  bytes: Buffer,
): Promise<void> {
  const unfinished = `${path}${UNFINISHED}`;
  const file = await files.open(unfinished, { create: true });
  try {
    await file.truncate(0);
    await file.write([bytes], 0);
    await file.sync();
  } finally {
    await file.close();
  }
  await files.rename(unfinished, path);
  await files.syncDirectory(directory);
}

/** Removes a file; none is no error. */
export async function removeIfThere(files: FileSystem, path: string): Promise<void> {
  try {
    await files.removeFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
