import type { Codec } from '../../wire/codecs.ts';
import { batchBaseOffset, batchCodec, batchNextOffset } from '../../wire/record-batch.ts';
import { RecordBatch } from '../../wire/record-batch-decoder.ts';
import type { Header, WireRecord } from '../../wire/record-cursor.ts';
import type { OldBatches } from './old-batches.ts';
import type { OffsetRun } from './queue-event.ts';
import type { DeliveredRun } from './queue-runs.ts';

/** Records of a queue that are wanted, with their past. */
export interface PastRun extends DeliveredRun {
  /** Undefined: it is no dead letter. */
  readonly reason: string | undefined;
  readonly text: string;
}

/** A record of a queue with its past. Its bytes are its own. */
export interface PastRecord {
  readonly offset: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly Header[];
  /** Of the batch it was in. */
  readonly codec: Codec;
  /** About, bytes. */
  readonly bytes: number;
  readonly attempts: number;
  readonly reason: string | undefined;
  readonly text: string;
}

/** What {@link findRecords} found. */
export interface FoundRecords {
  readonly records: PastRecord[];
  /** Offsets at which there is no record any more. */
  readonly gone: OffsetRun[];
  /** All below were looked for. */
  readonly upTo: number;
}

/**
 * Reads the records of `runs`, which are in rising order.
 *
 * @param maxBytes stops behind the record that reaches it
 * @throws what reading throws
 */
export async function findRecords(
  batches: OldBatches,
  runs: readonly PastRun[],
  maxBytes: number,
): Promise<FoundRecords> {
  const records: PastRecord[] = [];
  const gone: OffsetRun[] = [];
  let bytes = 0;
  let upTo = runs[0]?.first ?? 0;
  for (const run of runs) {
    upTo = run.first;
    while (upTo < run.end) {
      if (bytes >= maxBytes) return { records, gone, upTo };
      const found = await batches.load(upTo);
      const end = Math.min(run.end, found.kind === 'gone' ? found.to : batchNextOffset(found.batch));
      const before = records.length;
      if (found.kind === 'batch') records.push(...recordsOf(found.batch, { ...run, first: upTo, end }));
      for (const { offset, bytes: size } of records.slice(before)) {
        if (offset > upTo) gone.push({ first: upTo, end: offset });
        upTo = offset + 1;
        bytes += size;
      }
      if (end > upTo) gone.push({ first: upTo, end });
      upTo = end;
    }
  }
  return { records, gone, upTo };
}

/** Those of a batch that lie in `run`. One that cannot be read is there without key and value, and says why. */
function recordsOf(batch: Buffer, run: PastRun): PastRecord[] {
  const records: PastRecord[] = [];
  const codec = batchCodec(batch);
  const { attempts, reason, text } = run;
  let next = Math.max(run.first, batchBaseOffset(batch));
  try {
    const cursor = new RecordBatch(batch, { verifyCrc: false }).cursor();
    while (cursor.next() && cursor.offset < run.end) {
      if (cursor.offset < run.first) continue;
      records.push({ ...copyOf(cursor), codec, attempts, reason, text });
      next = cursor.offset + 1;
    }
  } catch (error) {
    const why = `The record cannot be read: ${error instanceof Error ? error.message : String(error)}. ${text}`;
    for (; next < run.end; next++) {
      const nothing = { key: null, value: null, headers: [], bytes: 0 };
      records.push({ offset: next, ...nothing, codec, attempts, reason, text: why.trim() });
    }
  }
  return records;
}

function copyOf({ offset, key, value, headers }: WireRecord): {
  offset: number;
  key: Buffer | null;
  value: Buffer | null;
  headers: Header[];
  bytes: number;
} {
  const copies = headers.map((header) => ({ key: header.key, value: copy(header.value) }));
  let bytes = (key?.length ?? 0) + (value?.length ?? 0);
  for (const header of copies) bytes += header.key.length + (header.value?.length ?? 0);
  return { offset, key: copy(key), value: copy(value), headers: copies, bytes };
}

function copy(bytes: Buffer | null): Buffer | null {
  return bytes === null ? null : Buffer.from(bytes);
}
