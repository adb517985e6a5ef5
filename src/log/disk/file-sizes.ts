import { withFile } from './damage.ts';
import type { FileSystem } from './file-system.ts';

/** Sizes of files, each looked at once: with thousands of logs, that is what a start consists of. */
export class FileSizes {
  readonly #files: FileSystem;
  readonly #sizes = new Map<string, number>();

  constructor(files: FileSystem) {
    this.#files = files;
  }

  /** Bytes. @throws what the file system says */
  async of(path: string): Promise<number> {
    const known = this.#sizes.get(path);
    if (known !== undefined) return known;
    const size = await withFile(this.#files, path, (file) => file.size());
    this.#sizes.set(path, size);
    return size;
  }

  /** A file is another than it was. */
  forget(path: string): void {
    this.#sizes.delete(path);
  }
}
