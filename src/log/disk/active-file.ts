import type { FileSystem, OpenFile } from './file-system.ts';
import { SPARE_ROOM } from './spare-room.ts';

/** A write of more than this costs what its bytes cost, with room or without. */
const SMALL_WRITE_BYTES = 16 * 1024;

/**
 * The file that a log appends to.
 *
 *     batch │ batch │ batch │ e7 e7 e7 e7 e7 │
 *                           └─ spare: what small writes that have to be on the disk go into
 *
 * A write that changes neither the size of a file nor where it is on the disk is there without a commit of the file system's
 * journal, a third of the time that an append takes. So small durable writes leave room behind them: as much as is before it, up to
 * 64 KiB. Without durable writes there is none: one that a loss of power has taken would have left the room it went into, as if nothing
 * had ever been there.
 */
export class ActiveFile {
  /** Whether every write is on the disk when it resolves. */
  readonly isDurable: boolean;
  readonly #file: OpenFile;
  #size: number;

  private constructor(file: OpenFile, isDurable: boolean, size: number) {
    this.#file = file;
    this.isDurable = isDurable;
    this.#size = size;
  }

  /** Opens a file, or makes it. @param length where its last batch ends @throws what the file system says */
  static async open(
    files: FileSystem,
    path: string,
    isDurable: boolean,
    length: number,
  ): Promise<ActiveFile> {
    const file = await files.open(path, { create: true, durableWrites: isDurable });
    try {
      const active = new ActiveFile(file, isDurable, await file.size());
      if (!isDurable) await active.trim(length);
      return active;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Writes `buffers` from `position` on, where the last batch ends. @throws as `OpenFile.write` */
  async write(buffers: readonly Buffer[], position: number): Promise<void> {
    let end = position;
    for (const { length } of buffers) end += length;
    const isSmall = end - position <= SMALL_WRITE_BYTES;
    const isSpare = this.isDurable && isSmall && end > this.#size;
    const spare = isSpare ? SPARE_ROOM.subarray(0, end) : undefined;
    await this.#file.write(spare ? [...buffers, spare] : buffers, position);
    this.#size = Math.max(this.#size, end + (spare?.length ?? 0));
  }

  /** Takes away what is behind `length`, durably. @throws what the file system says */
  async trim(length: number): Promise<void> {
    if (this.#size === length) return;
    await this.#file.truncate(length);
    await this.#file.sync();
    this.#size = length;
  }

  /** Makes durable what was written. @throws as `OpenFile.sync` */
  sync(): Promise<void> {
    return this.#file.sync();
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}
