import type { FileSystem } from './file-system.ts';
import type { OpenFiles } from './open-files.ts';
import { scanSegment } from './segment-scan.ts';
import { SegmentIndex } from './segment-index.ts';
import type { Segment } from './segment.ts';

/**
 * Indexes of sealed segments, over all logs of a node: those used last stay in memory, up to a number of bytes.
 *
 * An index file that is missing or does not fit its segment is no fault: the index is made anew from the segment.
 */
export class IndexCache {
  readonly #files: FileSystem;
  readonly #openFiles: OpenFiles;
  readonly #maxBytes: number;
  /** In order of last use; by path of the index file. */
  readonly #indexes = new Map<string, SegmentIndex>();
  readonly #loading = new Map<Segment, Promise<SegmentIndex>>();
  #bytes = 0;

  constructor(files: FileSystem, openFiles: OpenFiles, maxBytes: number) {
    this.#files = files;
    this.#openFiles = openFiles;
    this.#maxBytes = maxBytes;
  }

  /** The index when it is in memory. */
  known(segment: Segment): SegmentIndex | undefined {
    return segment.index ?? this.#indexes.get(segment.indexPath);
  }

  /** @throws what reading the segment throws */
  async load(segment: Segment): Promise<SegmentIndex> {
    if (segment.index) return segment.index;
    const path = segment.indexPath;
    const known = this.#indexes.get(path);
    if (known) {
      this.#indexes.delete(path);
      this.#indexes.set(path, known);
      return known;
    }
    let loading = this.#loading.get(segment);
    if (!loading) {
      loading = this.#read(segment).finally(() => this.#loading.delete(segment));
      this.#loading.set(segment, loading);
    }
    return loading;
  }

  /** Keeps an index that was just made. */
  keep(path: string, index: SegmentIndex): void {
    this.forget(path);
    this.#indexes.set(path, index);
    this.#bytes += index.memoryBytes;
    for (const oldest of this.#indexes.keys()) {
      if (this.#bytes <= this.#maxBytes || oldest === path) return;
      this.forget(oldest);
    }
  }

  forget(path: string): void {
    const index = this.#indexes.get(path);
    if (!index) return;
    this.#indexes.delete(path);
    this.#bytes -= index.memoryBytes;
  }

  async #read(segment: Segment): Promise<SegmentIndex> {
    const read = await readIndex(this.#files, segment.indexPath);
    const fits = read?.facts.bytes === segment.bytes && read.facts.nextOffset === segment.nextOffset;
    const index = fits ? read.index : await this.#rebuild(segment);
    // When the file was replaced meanwhile, there is another index for this path by now.
    if (!segment.replaced) this.keep(segment.indexPath, index);
    return index;
  }

  #rebuild(segment: Segment): Promise<SegmentIndex> {
    return this.#openFiles.use(segment.path, async (file) => {
      const index = new SegmentIndex(segment.baseOffset);
      await scanSegment(
        file,
        { from: 0, to: segment.bytes },
        (header, position) => {
          index.add(header.baseOffset, position, header.maxTimestampMs, segment.firstAppendMs);
          return undefined;
        },
        { verifyCrc: false, holes: true },
      );
      return index;
    });
  }
}

/** Reads an index file. @returns undefined when there is none or it is damaged */
export async function readIndex(
  files: FileSystem,
  path: string,
): Promise<ReturnType<typeof SegmentIndex.decode>> {
  try {
    return SegmentIndex.decode(await files.readFile(path));
  } catch {
    return undefined;
  }
}
