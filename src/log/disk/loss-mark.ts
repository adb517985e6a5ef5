/**
 * Remembers that a log lacks something that it had said to be durable, until its owner says that it is whole again.
 *
 *     incomplete   an offset: something from there on is lost, and there is more behind it
 *                  nothing: what is there is all there was up to the log's end
 *
 * The file is on the disk before the loss takes effect, so that no start takes for whole what an earlier one has mended.
 *
 * @see docs/file-format.md
 */
import { join } from 'node:path';
import type { FileSystem } from './file-system.ts';
import { removeIfThere, replaceFile } from './snapshots.ts';

const FILE = 'incomplete';
/** In place of an offset: behind what is lost there is nothing. */
export const AT_END = Infinity;

/** What a log knows of its losses. */
export class LossMark {
  readonly #directory: string;
  readonly #files: FileSystem;
  #from: number | undefined;
  #losses = 0;

  private constructor(directory: string, files: FileSystem, from: number | undefined) {
    this.#directory = directory;
    this.#files = files;
    this.#from = from;
  }

  /** @throws what the file system says */
  static async load(directory: string, files: FileSystem): Promise<LossMark> {
    let text: string;
    try {
      text = (await files.readFile(join(directory, FILE))).toString('latin1').trim();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      return new LossMark(directory, files, undefined);
    }
    return new LossMark(directory, files, text === '' ? AT_END : offsetIn(text));
  }

  /** The first offset of which it is not known that it is there, {@link AT_END} where nothing is behind; undefined: the log is whole. */
  get from(): number | undefined {
    return this.#from;
  }

  /** How many losses were noted since it was opened. */
  get losses(): number {
    return this.#losses;
  }

  /** Takes note of a loss, durably. @throws what the file system says */
  async note(from: number): Promise<void> {
    this.#losses++;
    if (this.#from === undefined || from < this.#from) await this.#write(from);
  }

  /** The log ends at `end` now: what is lost and was before that can be added at its end. @throws what the file system says */
  async cut(end: number): Promise<void> {
    if (this.#from !== undefined && this.#from !== AT_END && end <= this.#from) await this.#write(AT_END);
  }

  /** The log is whole again, unless there were more losses than `losses`. @throws what the file system says */
  async clear(losses: number): Promise<void> {
    if (this.#from === undefined || losses !== this.#losses) return;
    await removeIfThere(this.#files, join(this.#directory, FILE));
    await this.#files.syncDirectory(this.#directory);
    this.#from = undefined;
  }

  async #write(from: number): Promise<void> {
    const text = from === AT_END ? '' : `${from}\n`;
    await replaceFile(this.#files, this.#directory, join(this.#directory, FILE), Buffer.from(text));
    this.#from = from;
  }
}

/** What cannot be read may have said anything. */
function offsetIn(text: string): number {
  const offset = /^\d+$/.test(text) ? Number(text) : 0;
  return Number.isSafeInteger(offset) ? offset : 0;
}
