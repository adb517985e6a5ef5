import type { Clock } from '../../kernel/clock.ts';
import { SluiceError } from '../../kernel/errors.ts';
import type { PartitionReader, ReadResult } from '../../partition/reader.ts';
import type { WireRecord } from '../../wire/record-cursor.ts';
import { RecordBatch } from '../../wire/record-batch-decoder.ts';

/** How much is read, and how long is waited for it. */
export interface ReadBounds {
  /** At least one record comes where there is one. */
  readonly maxRecords: number;
  /** Of records with their headers, bytes; one comes even when it alone is larger. */
  readonly maxBytes: number;
  /** While nothing is there. */
  readonly waitMs: number;
  /** What a batch may inflate to. */
  readonly inflatedMaxBytes: number;
  /** The wait is over: what there is is the answer. */
  readonly signal: AbortSignal;
}

/** Offsets that are gone. */
export interface ReadGap {
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
}

/** What was read. */
export interface ReadRecords {
  readonly records: readonly WireRecord[];
  readonly gaps: readonly ReadGap[];
  /** Where to go on. */
  readonly nextOffset: number;
}

const READ_BYTES = 256 * 1024;

/**
 * Reads records of one partition from where a reader stands, whole batches at a time; waits for the first.
 *
 * @param reader one that nobody has read from
 * @throws TOPIC_NOT_FOUND when the topic was deleted meanwhile; what the reader ends with; CORRUPT_BATCH, BATCH_TOO_LARGE
 */
export async function readRecords(
  reader: PartitionReader,
  clock: Clock,
  bounds: ReadBounds,
): Promise<ReadRecords> {
  const found = new Found(reader.nextOffset, bounds);
  const wake = new Wake(reader);
  const deadlineMs = clock.monotonicMs() + bounds.waitMs;
  while (!found.isFull) {
    const result: ReadResult = await reader.read(Math.min(READ_BYTES, bounds.maxBytes));
    if (result.kind === 'batches') found.take(result.batches);
    else if (result.kind === 'gap') found.skip(result);
    else if (found.hasSome) break;
    else if (result.kind === 'ended') throw endOf(reader, result.code);
    else if (!(await wake.wait(clock, deadlineMs - clock.monotonicMs(), bounds.signal))) break;
  }
  return found;
}

/** What was found so far. */
class Found implements ReadRecords {
  readonly records: WireRecord[] = [];
  readonly gaps: ReadGap[] = [];
  nextOffset: number;
  readonly #bounds: ReadBounds;
  readonly #from: number;
  #bytes = 0;

  constructor(from: number, bounds: ReadBounds) {
    this.#from = from;
    this.nextOffset = from;
    this.#bounds = bounds;
  }

  get isFull(): boolean {
    return this.records.length >= this.#bounds.maxRecords || this.#bytes >= this.#bounds.maxBytes;
  }

  get hasSome(): boolean {
    return this.records.length > 0 || this.gaps.length > 0;
  }

  take(batches: readonly Buffer[]): void {
    for (const batch of batches) if (!this.isFull) this.#takeOne(batch);
  }

  skip({ from, to }: ReadGap): void {
    this.gaps.push({ from, to });
    this.nextOffset = Math.max(this.nextOffset, to);
  }

  #takeOne(batch: Buffer): void {
    const { inflatedMaxBytes } = this.#bounds;
    const source = new RecordBatch(batch, { inflatedMaxBytes, verifyCrc: false });
    const cursor = source.cursor();
    while (cursor.next()) {
      if (cursor.offset < this.#from) continue;
      if (this.isFull) return;
      this.records.push(cursor.record());
      this.#bytes += cursor.endAt - cursor.startAt;
      this.nextOffset = cursor.offset + 1;
    }
    this.nextOffset = Math.max(this.nextOffset, source.nextOffset);
  }
}

/** Notes that a reader has something, also between its saying that it has not and somebody waiting. */
class Wake {
  #isWoken = false;
  #onWake: (() => void) | undefined;

  constructor(reader: PartitionReader) {
    reader.onReadable = () => {
      this.#isWoken = true;
      this.#onWake?.();
    };
  }

  /** @returns whether there is something to read now */
  wait(clock: Clock, ms: number, signal: AbortSignal): Promise<boolean> {
    if (this.#isWoken || ms <= 0 || signal.aborted) {
      const isWoken = this.#isWoken;
      this.#isWoken = false;
      return Promise.resolve(isWoken);
    }
    return new Promise((resolve) => {
      const settle = (): void => {
        this.#onWake = undefined;
        timer.cancel();
        signal.removeEventListener('abort', settle);
        resolve(this.#isWoken);
        this.#isWoken = false;
      };
      const timer = clock.setTimer(ms, settle);
      signal.addEventListener('abort', settle, { once: true });
      this.#onWake = settle;
    });
  }
}

function endOf(reader: PartitionReader, code: SluiceError['code'] | undefined): SluiceError {
  if (code === undefined) return new SluiceError('TOPIC_NOT_FOUND', `${reader.topic} has been deleted`);
  return new SluiceError(code, `partition ${reader.partition} of ${reader.topic} cannot be read now`);
}
