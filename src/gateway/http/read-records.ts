import type { Clock } from '../../kernel/clock.ts';
import { SluiceError } from '../../kernel/errors.ts';
import type { PartitionReader, ReadResult } from '../../partition/reader.ts';
import type { RecordCursor } from '../../wire/record-cursor.ts';
import type { DoWork, Work } from './answers/answer-desk.ts';
import { RecordBatch } from '../../wire/record-batch-decoder.ts';

/** How much is read. */
export interface ReadBounds {
  /** At least one record comes where there is one. */
  readonly maxRecords: number;
  /** Of records with their headers, bytes; one comes even when it alone is larger. */
  readonly maxBytes: number;
  /** What a batch may inflate to. */
  readonly inflatedMaxBytes: number;
}

/** Takes a record, which stays good until the next. @returns whether it is to be the last */
export type TakeRecord = (record: RecordCursor) => boolean;

/** Offsets that are gone. */
export interface ReadGap {
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
}

/** What was read. */
export interface ReadRecords {
  readonly gaps: readonly ReadGap[];
  /** Where to go on. */
  readonly nextOffset: number;
}

const READ_BYTES = 256 * 1024;

/**
 * Reads records of one partition from where a reader stands, whole batches at a time, as many as there are now.
 *
 * @param reader one that nobody has read records from
 * @param doWork in whose turns batches are taken apart
 * @returns undefined when there is nothing now
 * @throws TOPIC_NOT_FOUND when the topic was deleted meanwhile; what the reader ends with; CORRUPT_BATCH, BATCH_TOO_LARGE
 */
export async function readRecords(
  reader: PartitionReader,
  doWork: DoWork,
  bounds: ReadBounds,
  take: TakeRecord,
): Promise<ReadRecords | undefined> {
  const found = new Found(reader.nextOffset, bounds, take);
  while (!found.isFull) {
    const result: ReadResult = await reader.read(Math.min(READ_BYTES, bounds.maxBytes));
    if (result.kind === 'batches') await doWork(found.take(result.batches));
    else if (result.kind === 'gap') found.skip(result);
    else if (found.hasSome) break;
    else if (result.kind === 'ended') throw endOf(reader, result.code);
    else return undefined;
  }
  return found;
}

/** What was found so far. */
class Found implements ReadRecords {
  readonly gaps: ReadGap[] = [];
  nextOffset: number;
  isFull = false;
  readonly #bounds: ReadBounds;
  readonly #take: TakeRecord;
  /** Records below it are not wanted, or gone: batches come whole. */
  #from: number;
  #records = 0;
  #bytes = 0;

  constructor(from: number, bounds: ReadBounds, take: TakeRecord) {
    this.#from = from;
    this.nextOffset = from;
    this.#bounds = bounds;
    this.#take = take;
  }

  get hasSome(): boolean {
    return this.#records > 0 || this.gaps.length > 0;
  }

  *take(batches: readonly Buffer[]): Work<void> {
    for (const batch of batches) {
      if (this.isFull) return;
      yield* this.#takeOne(batch);
    }
  }

  skip({ from, to }: ReadGap): void {
    this.gaps.push({ from, to });
    this.nextOffset = Math.max(this.nextOffset, to);
    this.#from = Math.max(this.#from, to);
  }

  *#takeOne(batch: Buffer): Work<void> {
    const { inflatedMaxBytes, maxRecords, maxBytes } = this.#bounds;
    const source = new RecordBatch(batch, { inflatedMaxBytes, verifyCrc: false });
    const cursor = source.cursor();
    while (cursor.next()) {
      if (cursor.offset < this.#from) continue;
      if (this.isFull) return;
      const isLast = this.#take(cursor);
      this.#records += 1;
      this.#bytes += cursor.endAt - cursor.startAt;
      this.isFull = isLast || this.#records >= maxRecords || this.#bytes >= maxBytes;
      this.nextOffset = cursor.offset + 1;
      yield;
    }
    this.nextOffset = Math.max(this.nextOffset, source.nextOffset);
    yield;
  }
}

/** Notes that a reader has something, also between its saying that it has not and somebody waiting. */
export class Wake {
  #isWoken = false;
  #onWake: (() => void) | undefined;

  constructor(reader: PartitionReader) {
    reader.onReadable = () => {
      this.#isWoken = true;
      this.#onWake?.();
    };
  }

  /**
   * Waits until there may be something to read.
   * @param ms at the most
   * @param signal ends the wait
   * @returns whether there is
   */
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
