import { open, readFile, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { z } from 'zod';
import { SluiceError, asSluiceError } from '../../kernel/errors.ts';
import { storageError } from '../../kernel/storage-error.ts';
import type { DiskReserve } from './disk-reserve.ts';

/*
 * A state file is one JSON object:
 *
 *     format    1
 *     checksum  CRC-32 of JSON.stringify(state), so that a damaged file is never taken for an older or emptier state
 *     state     the state itself
 */
const FORMAT = 1;
const TEMPORARY_PREFIX = '.new-';

interface Waiting<T> {
  readonly change: (state: T) => T;
  readonly resolve: (state: T) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * A small piece of state that is in memory and, whenever an update resolves, durably in a file.
 *
 * Updates are applied one after the other; those that come in while a write is under way share the next one. A file is
 * replaced as a whole (written beside, synced, renamed, directory synced), so a crash leaves the old or the new state.
 */
export class StateFile<T> {
  readonly #path: string;
  readonly #reserve: DiskReserve | undefined;
  #state: T;
  #waiting: Waiting<T>[] = [];
  #running: Promise<void> | undefined;

  private constructor(path: string, state: T, reserve: DiskReserve | undefined) {
    this.#path = path;
    this.#reserve = reserve;
    this.#state = state;
  }

  /**
   * Reads an existing file.
   * @param reserve room for updates on a disk that is full
   * @returns undefined when there is none
   * @throws STORAGE_FAILED, with the path in its text, when it cannot be read or is not what was written
   */
  static async open<T>(
    path: string,
    schema: z.ZodType<T>,
    reserve?: DiskReserve,
  ): Promise<StateFile<T> | undefined> {
    let text: string;
    try {
      text = await readFile(path, 'utf8');
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw storageError(cause, `cannot read ${path}`);
    }
    return new StateFile(path, parse(path, text, schema), reserve);
  }

  /**
   * Writes a new file; on a disk that is full there is no new one.
   * @param reserve as of {@link open}
   * @throws STORAGE_FULL, STORAGE_FAILED
   */
  static async create<T>(path: string, state: T, reserve?: DiskReserve): Promise<StateFile<T>> {
    await replaceFile(path, format(state));
    return new StateFile(path, state, reserve);
  }

  get state(): T {
    return this.#state;
  }

  /**
   * Replaces the state by what `change` makes of it. `change` may throw to refuse, and must not change its argument.
   * @returns the state right after this change
   * @throws what `change` threw; STORAGE_FULL or STORAGE_FAILED when the file could not be written: the state is as before
   */
  update(change: (state: T) => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ change, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** Resolves once nothing is being written. */
  async settled(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    // Lets everything that was asked for in this turn share the first write.
    await Promise.resolve();
    while (this.#waiting.length > 0) await this.#writeOnce();
    this.#running = undefined;
  }

  async #writeOnce(): Promise<void> {
    let state = this.#state;
    const applied: { update: Waiting<T>; state: T }[] = [];
    for (const update of this.#waiting.splice(0)) {
      try {
        state = update.change(state);
        applied.push({ update, state });
      } catch (error) {
        update.reject(error);
      }
    }
    if (applied.length === 0) return;
    try {
      await this.#replace(format(state));
    } catch (error) {
      for (const { update } of applied) update.reject(error);
      return;
    }
    this.#state = state;
    for (const { update, state: after } of applied) update.resolve(after);
  }

  async #replace(text: string): Promise<void> {
    try {
      await replaceFile(this.#path, text);
    } catch (error) {
      if (asSluiceError(error).code !== 'STORAGE_FULL' || !(await this.#reserve?.release())) throw error;
      await replaceFile(this.#path, text);
    }
    await this.#reserve?.fill();
  }
}

/**
 * Removes a file durably; one that is not there is fine.
 * @throws STORAGE_FULL, STORAGE_FAILED
 */
export async function removeFile(path: string): Promise<void> {
  try {
    await rm(path, { force: true });
    await syncDirectory(dirname(path));
  } catch (cause) {
    throw storageError(cause, `cannot remove ${path}`);
  }
}

/**
 * Lists the state files of a directory and removes what a crash in the middle of a write left there.
 * @returns file names, without those of anything else
 * @throws STORAGE_FAILED
 */
export async function listStateFiles(directory: string): Promise<readonly string[]> {
  try {
    const names = await readdir(directory);
    const leftovers = names.filter((name) => name.startsWith(TEMPORARY_PREFIX));
    await Promise.all(leftovers.map((name) => rm(join(directory, name), { force: true })));
    return names.filter((name) => name.endsWith('.json'));
  } catch (cause) {
    throw storageError(cause, `cannot list ${directory}`);
  }
}

function format(state: unknown): string {
  const checksum = crc32(JSON.stringify(state));
  return `${JSON.stringify({ format: FORMAT, checksum, state }, undefined, 2)}\n`;
}

function parse<T>(path: string, text: string, schema: z.ZodType<T>): T {
  const damaged = (why: string, cause?: unknown) =>
    new SluiceError('STORAGE_FAILED', `${path} is damaged (${why}); restore it from a backup`, { cause });
  let file: { format?: unknown; checksum?: unknown; state?: unknown } | null;
  try {
    file = JSON.parse(text) as typeof file;
  } catch (cause) {
    throw damaged('not JSON', cause);
  }
  if (file?.format !== FORMAT) throw damaged('unknown format');
  if (file.state === undefined || file.checksum !== crc32(JSON.stringify(file.state)))
    throw damaged('wrong checksum');
  const state = schema.safeParse(file.state);
  if (!state.success) throw damaged('unexpected content', state.error);
  return state.data;
}

let temporaryFiles = 0;

async function replaceFile(path: string, text: string): Promise<void> {
  // Not `${path}.tmp`: a topic's name may already be as long as file names can be.
  const temporary = join(dirname(path), `${TEMPORARY_PREFIX}${temporaryFiles++}`);
  try {
    const file = await open(temporary, 'w', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    await syncDirectory(dirname(path));
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw storageError(cause, `cannot write ${path}`);
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
