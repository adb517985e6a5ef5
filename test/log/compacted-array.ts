import { expect } from 'vitest';
import type { PartitionLog } from '../../src/log/partition-log.ts';
import { batchBaseOffset, batchNextOffset } from '../../src/wire/record-batch.ts';
import { RecordBatch } from '../../src/wire/record-batch-decoder.ts';
import { checkSameList } from '../support/cheap-checks.ts';
import type { Comeback } from './array-log.ts';
import { ArrayLog } from './array-log.ts';

interface KnownRecord {
  readonly key: string | undefined;
  readonly isTombstone: boolean;
  /** All of it that readers see. */
  readonly text: string;
}

/**
 * The model of a log that is compacted by key: it may have holes, but nothing else than what was appended, and the last record of
 * every key, every record without a key, and every offset where it was.
 */
export class CompactedArray extends ArrayLog {
  override checkRead(batches: readonly Buffer[], offset: number, upTo: number): void {
    this.#checkRecords(batches, offset, upTo);
  }

  override async comeBack(log: PartitionLog, comeback: Comeback): Promise<void> {
    this.beOldOrNew(log);
    const floor = this.checkEnds(log, comeback);
    const batches: Buffer[] = [];
    for (let offset = log.logStart; offset < log.logEnd; offset = batchNextOffset(batches.at(-1)!)) {
      const portion = await log.read(offset, log.logEnd, 100_000);
      if (portion.length === 0) break;
      batches.push(...portion);
    }
    const behind = batches.filter((batch) => batchBaseOffset(batch) >= floor);
    this.entries = [
      ...this.entries.filter(({ next }) => next <= floor),
      ...behind.map((batch) => this.recognise(batch, floor)),
    ];
    this.#checkRecords(batches, log.logStart, log.logEnd);
    this.#checkKept(batches, log.logStart);
    this.goOn(log, comeback);
  }

  /** Every record is one that was appended, at its offset, in order. */
  #checkRecords(batches: readonly Buffer[], offset: number, upTo: number): void {
    const known = this.#records();
    let last = -1;
    for (const batch of batches) {
      if (batchNextOffset(batch) <= offset) expect.fail(`a batch before ${offset}`);
      if (batchBaseOffset(batch) >= upTo) expect.fail(`a batch behind ${upTo}`);
      for (const record of recordsOf(batch)) {
        if (record.offset <= last) expect.fail(`offset ${record.offset} after ${last}`);
        last = record.offset;
        if (record.text !== known.get(record.offset)?.text) expect.fail(`another record at ${record.offset}`);
      }
    }
  }

  /** What no compaction may remove is there. */
  #checkKept(batches: readonly Buffer[], start: number): void {
    const there = new Set(batches.flatMap((batch) => recordsOf(batch).map(({ offset }) => offset)));
    const last = new Map<string, number>();
    const known = this.#records();
    for (const [offset, { key }] of known) if (key !== undefined) last.set(key, offset);
    const missing = [...known].filter(
      ([offset, { key, isTombstone }]) =>
        offset >= start &&
        !there.has(offset) &&
        (key === undefined || (last.get(key) === offset && !isTombstone)),
    );
    checkSameList(missing, [], 'records that have to be kept');
  }

  #records(): Map<number, KnownRecord> {
    return new Map(
      this.entries.flatMap(({ bytes }) => recordsOf(bytes).map(({ offset, ...record }) => [offset, record])),
    );
  }
}

const decoded = new WeakMap<Buffer, readonly (KnownRecord & { offset: number })[]>();

/** The same batches are looked at again and again. */
function recordsOf(batch: Buffer): readonly (KnownRecord & { offset: number })[] {
  const known = decoded.get(batch) ?? decode(batch);
  decoded.set(batch, known);
  return known;
}

function decode(batch: Buffer): (KnownRecord & { offset: number })[] {
  return [...new RecordBatch(batch).records()].map(({ offset, key, value, timestampMs }) => ({
    offset,
    key: key === null ? undefined : String(key),
    isTombstone: value === null,
    text: `${String(key)}=${String(value)} at ${timestampMs}`,
  }));
}
