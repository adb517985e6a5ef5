import type { FileSystem, OpenFile, OpenOptions } from '../../src/log/disk/file-system.ts';
import type { FakeDisk } from '../support/fake-disk.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import type { Machine } from './machine.ts';

/** How long the disk takes for what it does. */
const USUAL_MS = 0.4;

/** A disk as the process on a machine sees it: every call takes time, and what it brings waits while the process is frozen. */
export class SimFiles implements FileSystem {
  /** How much slower than usual the disk is. */
  slowness = 1;
  readonly #machine: Machine;
  readonly #disk: FakeDisk;
  readonly #random: SeededRandom;

  constructor(machine: Machine, disk: FakeDisk, random: SeededRandom) {
    this.#machine = machine;
    this.#disk = disk;
    this.#random = random;
  }

  async open(path: string, options: OpenOptions): Promise<OpenFile> {
    const file = await this.#disk.open(path, options);
    return {
      read: (target, position) => file.read(target, position),
      write: (buffers, position) => this.#late(() => file.write(buffers, position)),
      sync: () => this.#late(() => file.sync()),
      truncate: (length) => this.#late(() => file.truncate(length)),
      size: () => file.size(),
      close: () => file.close(),
    };
  }

  readFile(path: string): Promise<Buffer> {
    return this.#disk.readFile(path);
  }

  list(directory: string): Promise<readonly string[]> {
    return this.#disk.list(directory);
  }

  makeDirectory(path: string): Promise<void> {
    return this.#disk.makeDirectory(path);
  }

  rename(from: string, to: string): Promise<void> {
    return this.#late(() => this.#disk.rename(from, to));
  }

  removeFile(path: string): Promise<void> {
    return this.#disk.removeFile(path);
  }

  removeDirectory(path: string): Promise<void> {
    return this.#disk.removeDirectory(path);
  }

  syncDirectory(path: string): Promise<void> {
    return this.#late(() => this.#disk.syncDirectory(path));
  }

  #late<T>(call: () => Promise<T>): Promise<T> {
    const ms = USUAL_MS * this.slowness * (0.5 + this.#random.fraction());
    return new Promise((resolve, reject) => {
      this.#machine.post(ms, () => {
        call().then(resolve, reject);
      });
    });
  }
}
