import { SluiceError } from '../../kernel/errors.ts';
import type { BatchHeader } from '../../wire/record-batch.ts';
import { UNFINISHED } from './file-names.ts';
import type { FileSystem, OpenFile } from './file-system.ts';
import type { SegmentFacts } from './segment-index.ts';
import { SegmentIndex } from './segment-index.ts';

const BUFFER_BYTES = 512 * 1024;
const COPY_BYTES = 512 * 1024;
/** So much is left to the system before it is synced: a larger amount at once would hold up those who wait for the same disk. */
const UNSYNCED_MAX_BYTES = 8 * 1024 * 1024;

/** Where batches of a segment that is being compacted come from. */
export interface CompactionSource extends SegmentFacts {
  readonly path: string;
  readonly indexPath: string;
  /** Why the offsets behind it are gone; then nothing is merged into it. */
  readonly lostBehind?: string | undefined;
  /** Its index, for the times at which batches were appended. */
  loadIndex(): Promise<SegmentIndex>;
}

/** The empty batch in place of one of which nothing is left. */
interface Pending {
  readonly header: BatchHeader;
  readonly bytes: Buffer;
  /** The source has the same bytes in this place. */
  readonly isSame: boolean;
}

/**
 * What comes out of one segment, or of several neighbours.
 *
 * Nothing is written as long as it is the same as the first segment; a segment of which everything stays is left alone. The last
 * batch keeps its header although nothing is left in it, so that a file says by itself how far it reaches: what a crash left of
 * segments that were merged into it begins below that.
 */
export class CompactedFile {
  readonly index: SegmentIndex;
  /** Segments that went into it. */
  readonly sources: CompactionSource[];
  readonly #files: FileSystem;
  readonly #path: string;
  readonly #indexPath: string;
  /** Of the source that batches come from. */
  #sourceIndex: SegmentIndex;
  #first: OpenFile | undefined;
  #file: OpenFile | undefined;
  #bytes = 0;
  #writtenBytes = 0;
  #unsyncedBytes = 0;
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  #buffered = 0;
  #pending: Pending | undefined;
  #maxTimestampMs = -Infinity;

  /** @param file the first source, open until the output is finished */
  constructor(files: FileSystem, first: CompactionSource, sourceIndex: SegmentIndex, file: OpenFile) {
    this.#files = files;
    this.#path = `${first.path}${UNFINISHED}`;
    this.#indexPath = `${first.indexPath}${UNFINISHED}`;
    this.#sourceIndex = sourceIndex;
    this.#first = file;
    this.sources = [first];
    this.index = new SegmentIndex(first.baseOffset);
  }

  /** Bytes so far. */
  get bytes(): number {
    return this.#bytes + (this.#pending?.bytes.length ?? 0);
  }

  /** Whether it differs from the one source it has. */
  get isChanged(): boolean {
    return this.#file !== undefined;
  }

  /** What is known about it; complete after {@link finish}. */
  get facts(): SegmentFacts {
    const [first, last] = [this.sources[0]!, this.sources.at(-1)!];
    return {
      baseOffset: first.baseOffset,
      nextOffset: last.nextOffset,
      bytes: this.#bytes,
      maxTimestampMs: this.#maxTimestampMs,
      firstAppendMs: first.firstAppendMs,
      lastAppendMs: last.lastAppendMs,
    };
  }

  /** Goes on with another segment. */
  async addSource(source: CompactionSource, sourceIndex: SegmentIndex): Promise<void> {
    await this.#change();
    this.#first = undefined;
    this.#sourceIndex = sourceIndex;
    this.sources.push(source);
  }

  /** Adds a batch as it is. @param bytes only used during the call */
  async keep(header: BatchHeader, bytes: Buffer): Promise<void> {
    await this.#dropPending();
    await this.#add(header, bytes, this.#file === undefined);
  }

  /** Adds what is left of a batch. */
  async replace(header: BatchHeader, bytes: Buffer): Promise<void> {
    await this.#dropPending();
    await this.#change();
    await this.#add(header, bytes, false);
  }

  /**
   * Leaves out a batch, unless it turns out to be the last.
   * @param bytes its header, without records; kept
   */
  async drop(header: BatchHeader, bytes: Buffer, wasEmpty: boolean): Promise<void> {
    await this.#dropPending();
    this.#pending = { header, bytes, isSame: wasEmpty && this.#file === undefined };
  }

  /** Completes the file, with its index beside, both durable under their unfinished names; nothing when nothing changed. */
  async finish(): Promise<void> {
    const pending = this.#pending;
    this.#pending = undefined;
    if (pending) {
      if (!pending.isSame) await this.#change();
      await this.#add(pending.header, pending.bytes, this.#file === undefined);
    }
    if (!this.#file) return;
    await this.#flush();
    await this.#file.sync();
    const indexFile = await this.#files.open(this.#indexPath, { create: true });
    try {
      await indexFile.truncate(0);
      await indexFile.write([this.index.encode(this.facts)], 0);
      await indexFile.sync();
    } finally {
      await indexFile.close();
    }
  }

  /** Lets go of the file. */
  async close(): Promise<void> {
    await this.#file?.close();
  }

  /** Lets go of the file, and removes what was written, as far as that can be done now. */
  async discard(): Promise<void> {
    if (!this.#file) return;
    await this.#file.close().catch(() => undefined);
    for (const path of [this.#path, this.#indexPath])
      await this.#files.removeFile(path).catch(() => undefined);
  }

  async #add(header: BatchHeader, bytes: Buffer, isSame: boolean): Promise<void> {
    const { firstAppendMs } = this.sources.at(-1)!;
    const appendedMs = this.#sourceIndex.appendedMsAt(header.baseOffset) ?? firstAppendMs;
    this.index.add(header.baseOffset, this.#bytes, header.maxTimestampMs, appendedMs);
    this.#bytes += bytes.length;
    if (header.recordCount > 0 && header.maxTimestampMs > this.#maxTimestampMs) {
      this.#maxTimestampMs = header.maxTimestampMs;
    }
    if (!isSame) await this.#write(bytes);
  }

  /** A batch that was left out was not the last one. */
  async #dropPending(): Promise<void> {
    if (!this.#pending) return;
    this.#pending = undefined;
    await this.#change();
  }

  /** From here on it differs from its first source: what it has so far is copied from there. */
  async #change(): Promise<void> {
    if (this.#file) return;
    this.#file = await this.#files.open(this.#path, { create: true });
    await this.#file.truncate(0);
    const end = this.#bytes;
    const chunk = Buffer.allocUnsafeSlow(Math.min(end, COPY_BYTES));
    for (let at = 0; at < end; at += chunk.length) {
      const part = chunk.subarray(0, Math.min(chunk.length, end - at));
      const got = await this.#first!.read(part, at);
      if (got < part.length)
        throw new SluiceError('CORRUPT_LOG', `${this.sources[0]!.path} ends at ${at + got}`);
      await this.#writeOut([part]);
    }
  }

  async #write(bytes: Buffer): Promise<void> {
    if (this.#buffered + bytes.length > this.#buffer.length) await this.#flush();
    if (bytes.length > this.#buffer.length) {
      await this.#writeOut([bytes]);
    } else {
      bytes.copy(this.#buffer, this.#buffered);
      this.#buffered += bytes.length;
    }
  }

  async #flush(): Promise<void> {
    const bytes = this.#buffer.subarray(0, this.#buffered);
    this.#buffered = 0;
    if (bytes.length > 0) await this.#writeOut([bytes]);
  }

  async #writeOut(buffers: readonly Buffer[]): Promise<void> {
    await this.#file!.write(buffers, this.#writtenBytes);
    for (const { length } of buffers) {
      this.#writtenBytes += length;
      this.#unsyncedBytes += length;
    }
    if (this.#unsyncedBytes < UNSYNCED_MAX_BYTES) return;
    this.#unsyncedBytes = 0;
    await this.#file!.sync();
  }
}
