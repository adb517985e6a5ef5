import type { DiskShared } from './disk-shared.ts';
import type { Segment } from './segment.ts';
import { removeIfThere } from './snapshots.ts';

/**
 * Removes files of segments that are no longer part of a log: one after the other, oldest first, each durably, so that a crash in between
 * leaves no hole. What cannot be removed now is kept in mind, and after a restart found by where the log starts.
 */
export class SegmentRemoval {
  readonly #directory: string;
  readonly #shared: DiskShared;
  readonly #segments: Segment[] = [];
  readonly #sealed: () => Promise<void>;
  #running: Promise<void> | undefined;

  /** @param sealed resolves when no index is being written, which would come back after its removal */
  constructor(directory: string, shared: DiskShared, sealed: () => Promise<void>) {
    this.#directory = directory;
    this.#sealed = sealed;
    this.#shared = shared;
  }

  /** Removes these, and what could not be removed before. */
  begin(segments: readonly Segment[] = []): void {
    this.#segments.push(...segments);
    if (this.#running || this.#segments.length === 0) return;
    this.#running = this.#run()
      .catch(() => undefined)
      .finally(() => (this.#running = undefined));
  }

  /** Resolves when nothing is being removed. */
  async settled(): Promise<void> {
    await this.#running;
  }

  /** Files of their names are, or will be, others. To be called when nothing is being removed. */
  forget(): void {
    this.#segments.length = 0;
  }

  async #run(): Promise<void> {
    const { openFiles, indexes, files } = this.#shared;
    for (let segment = this.#segments[0]; segment; segment = this.#segments[0]) {
      await this.#sealed();
      const { path, indexPath } = segment;
      openFiles.forget(path);
      indexes.forget(indexPath);
      await removeIfThere(files, path);
      await removeIfThere(files, indexPath);
      await files.syncDirectory(this.#directory);
      this.#segments.shift();
    }
  }
}
