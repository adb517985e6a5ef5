import { rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Random } from '../../kernel/random.ts';

/** Room for every small file of the coordination to be written once more. */
const RESERVE_BYTES = 256 * 1024;

/**
 * Room on the disk that is set aside for state files, as a file that nothing is read from: records of topics may fill the disk to
 * the last byte, and a node must still be able to start there, revoke a token, or change what a topic retains.
 */
export class DiskReserve {
  readonly #path: string;
  readonly #random: Random;
  #isThere = false;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(path: string, random: Random) {
    this.#path = path;
    this.#random = random;
  }

  /** Sets room aside in `directory`, if there is any. */
  static async open(directory: string, random: Random): Promise<DiskReserve> {
    const reserve = new DiskReserve(join(directory, 'reserve'), random);
    reserve.#isThere = await hasSize(reserve.#path);
    await reserve.fill();
    return reserve;
  }

  /** Sets the room aside again, if it is not and there is any; a disk that is full is no error. */
  fill(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#isThere) return;
      try {
        // Random bytes take the room also where the file system compresses.
        await writeFile(this.#path, this.#random.bytes(RESERVE_BYTES), { mode: 0o600, flush: true });
        this.#isThere = true;
      } catch {
        await this.#remove();
      }
    });
  }

  /** Gives the room up, for one write. @returns whether there was any */
  release(): Promise<boolean> {
    return this.#inTurn(async () => {
      if (!this.#isThere) return false;
      this.#isThere = false;
      await this.#remove();
      return true;
    });
  }

  #remove(): Promise<void> {
    return rm(this.#path, { force: true }).catch(() => undefined);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#last.then(work);
    this.#last = run;
    return run;
  }
}

async function hasSize(path: string): Promise<boolean> {
  try {
    return (await stat(path)).size === RESERVE_BYTES;
  } catch {
    return false;
  }
}
