import { DatabaseSync } from 'node:sqlite';
import { join } from 'node:path';
import { SluiceError } from '../../kernel/errors.ts';

const SQLITE_BUSY = 5;

/**
 * Keeps a second process from using a data directory.
 *
 * Node has no file locks of its own, and a file with a process id in it cannot be trusted across containers or after a reused
 * id. The SQLite that is part of Node takes a real lock of the operating system (fcntl) for an exclusive transaction: it holds
 * between containers that share the directory, and it goes with the process however that ends, so there is no stale lock to
 * find. `lock` is an empty database that nothing is ever written to.
 */
export class DataDirLock implements Disposable {
  readonly #database: DatabaseSync;

  private constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /**
   * @param directory exists already
   * @throws DATA_DIR_LOCKED when another process (or another broker in this one) holds it; STORAGE_FAILED when it cannot be tried
   */
  static take(directory: string): DataDirLock {
    const path = join(directory, 'lock');
    let database: DatabaseSync | undefined;
    try {
      database = new DatabaseSync(path, { timeout: 0 });
      database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
      return new DataDirLock(database);
    } catch (cause) {
      database?.close();
      if ((cause as { errcode?: unknown }).errcode === SQLITE_BUSY) {
        throw new SluiceError('DATA_DIR_LOCKED', `${directory} is in use by another process`, { cause });
      }
      const advice = 'nothing is kept in it: when no node runs there, it can be removed';
      throw new SluiceError('STORAGE_FAILED', `cannot lock ${path}: ${(cause as Error).message}; ${advice}`, {
        cause,
      });
    }
  }

  [Symbol.dispose](): void {
    if (this.#database.isOpen) this.#database.close();
  }
}
