import type { CompactedFile, CompactionSource } from '../../../src/log/disk/compacted-file.ts';
import type { CompactionJob, CompactionResult } from '../../../src/log/disk/compaction.ts';
import { compactSegments } from '../../../src/log/disk/compaction.ts';
import { UNFINISHED, filePath, sortFiles } from '../../../src/log/disk/file-names.ts';
import { scanSegment } from '../../../src/log/disk/segment-scan.ts';
import { Segment } from '../../../src/log/disk/segment.ts';
import { stampBatch } from '../../../src/wire/record-batch.ts';
import type { BatchHeader } from '../../../src/wire/record-batch.ts';
import { RecordBatch } from '../../../src/wire/record-batch-decoder.ts';
import type { TestBatchOptions, TestRecord } from '../../support/batch.ts';
import { batchOf } from '../../support/batch.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FakeDisk } from '../../support/fake-disk.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

export const DIRECTORY = '/log';

/** One batch of a segment. */
export interface TestBatch extends TestBatchOptions {
  readonly records: readonly TestRecord[];
}

/** A record that is in the files. */
export interface FoundRecord {
  readonly offset: number;
  readonly key: string | null;
  readonly value: string | null;
}

/** A record `key=value`; `key=` is one without value, `=value` one without key. */
export function record(text: string): TestRecord {
  const [key, value] = text.split('=') as [string, string];
  return { key: key === '' ? null : key, value: value === '' ? null : value };
}

/** A batch of such records. */
export function batch(texts: string, options: TestBatchOptions = {}): TestBatch {
  return { records: texts.split(' ').map(record), ...options };
}

/** Segment files on a fake disk, all of them sealed. */
export class CompactionStage {
  disk: FakeDisk;
  clock = new FakeClock();
  segments: CompactionSource[] = [];

  constructor(disk: FakeDisk = new FakeDisk()) {
    this.disk = disk;
  }

  /** Writes one segment for each list of batches, one behind the other, and their indexes. */
  static async write(segments: readonly (readonly TestBatch[])[], firstOffset = 0): Promise<CompactionStage> {
    const stage = new CompactionStage();
    await stage.disk.makeDirectory(DIRECTORY);
    let offset = firstOffset;
    for (const [n, batches] of segments.entries()) {
      const stamped = batches.map(({ records, ...options }) => {
        const bytes = batchOf(records, options);
        stampBatch(bytes, offset, 1);
        offset += records.length;
        return bytes;
      });
      await stage.#plant(
        offset - batches.reduce((sum, { records }) => sum + records.length, 0),
        stamped,
        n * 1000,
      );
    }
    await stage.disk.syncDirectory('/');
    await stage.disk.syncDirectory(DIRECTORY);
    return stage;
  }

  /** Finds segments as a log would that is opened, with what a crash left of merged ones removed. */
  async find(): Promise<void> {
    const found = sortFiles(await this.disk.list(DIRECTORY));
    this.segments = [];
    for (const base of found.segments) {
      const segment = await this.#scan(base);
      if (base < (this.segments.at(-1)?.nextOffset ?? 0)) await this.disk.removeFile(segment.path);
      else this.segments.push(segment);
    }
  }

  /** Runs one round. */
  compact(changes: Partial<CompactionJob> = {}): Promise<CompactionResult> {
    return compactSegments({
      directory: DIRECTORY,
      files: this.disk,
      clock: this.clock,
      random: new SeededRandom(1),
      limits: { mapBytes: 1e6, segmentBytes: 0, segmentMs: Infinity, segmentRecords: Infinity },
      segments: this.segments,
      compactedBelow: 0,
      tombstonesBelow: 0,
      tombstoneParts: [],
      signal: new AbortController().signal,
      onCorrupt: () => undefined,
      onReplacing: () => undefined,
      onInstalled: () => undefined,
      onReplaced: (sources, output) => {
        this.#replaced(sources, output);
      },
      ...changes,
    });
  }

  /** Names in the directory. */
  names(): string[] {
    return this.disk.names(DIRECTORY);
  }

  /** Every batch in the files. */
  batches(): { readonly header: BatchHeader; readonly bytes: Buffer }[] {
    return this.segments.flatMap(({ path }) => {
      const file = this.disk.peek(path)!;
      const batches: { header: BatchHeader; bytes: Buffer }[] = [];
      for (let at = 0; at < file.length;) {
        const bytes = file.subarray(at, at + file.readInt32BE(at + 8) + 12);
        batches.push({ header: new RecordBatch(bytes).header, bytes });
        at += bytes.length;
      }
      return batches;
    });
  }

  /** Every record in the files. */
  records(): FoundRecord[] {
    return this.batches().flatMap(({ bytes }) =>
      Array.from(new RecordBatch(bytes).records(), ({ offset, key, value }) => ({
        offset,
        key: key === null ? null : key.toString(),
        value: value === null ? null : value.toString(),
      })),
    );
  }

  /** The records as `offset key=value`. */
  texts(): string[] {
    return this.records().map(({ offset, key, value }) => `${offset} ${key ?? ''}=${value ?? ''}`);
  }

  async #plant(baseOffset: number, batches: readonly Buffer[], appendedMs: number): Promise<void> {
    const path = filePath(DIRECTORY, baseOffset, 'log');
    this.disk.plant(path, Buffer.concat(batches));
    const segment = await this.#scan(baseOffset, appendedMs);
    this.disk.plant(segment.indexPath, (await segment.loadIndex()).encode(segment));
    this.segments.push(segment);
  }

  async #scan(baseOffset: number, appendedMs = 0): Promise<CompactionSource> {
    const segment = Segment.active(DIRECTORY, baseOffset);
    const file = await this.disk.open(segment.path, { readOnly: true });
    const end = await scanSegment(
      file,
      { from: 0, to: await file.size() },
      (header) => {
        const { lastOffsetDelta, batchBytes, maxTimestampMs } = header;
        const next = header.baseOffset + lastOffsetDelta + 1;
        segment.add(header.baseOffset, next, batchBytes, maxTimestampMs, appendedMs);
        return true;
      },
      { holes: true, verifyCrc: true },
    );
    await file.close();
    if (end.kind === 'damaged') throw new Error(`${segment.path} at ${end.position}: ${end.reason}`);
    const index = segment.index!;
    return Object.assign(segment, { loadIndex: () => Promise.resolve(index) });
  }

  #replaced(sources: readonly CompactionSource[], output: CompactedFile | undefined): void {
    if (!output) return;
    const at = this.segments.indexOf(sources[0]!);
    const { path, indexPath } = sources[0]!;
    this.segments.splice(at, sources.length, {
      ...output.facts,
      path,
      indexPath,
      loadIndex: () => Promise.resolve(output.index),
    });
  }
}

/** Whether a name is that of a file that is being written. */
export function isUnfinished(name: string): boolean {
  return name.endsWith(UNFINISHED);
}

/** What compaction has to leave of some records, when all of them are compacted: the latest of each key, and those without key. */
export function latestOf(records: readonly FoundRecord[]): FoundRecord[] {
  const last = new Map(records.map(({ key, offset }) => [key, offset]));
  return records.filter(({ key, offset }) => key === null || last.get(key) === offset);
}
