import type { Clock } from '../kernel/clock.ts';
import { SluiceError } from '../kernel/errors.ts';
import type { ByteBudget } from '../log/byte-budget.ts';
import { batchBaseOffset, batchNextOffset } from '../wire/record-batch.ts';
import { RecordBatch } from '../wire/record-batch-decoder.ts';
import type { RecordCursor } from '../wire/record-cursor.ts';
import type { KeyPredicate } from './reader-source.ts';

/** Keys that one scan remembers at most. */
const MAX_KEYS = 1_000_000;
/** Records after which the clock is looked at. */
const RECORDS_PER_LOOK = 512;
/** What a key costs beside its bytes while it is remembered. */
const KEY_OVERHEAD_BYTES = 64;

/**
 * Finds the latest record of each key in [start, end) of a log: first by remembering the newest offset of every key, batch by
 * batch, then as the sorted list of those offsets, eight bytes each.
 *
 * Records without a key have no latest one and are not found.
 */
export class KeyScan {
  /** Exclusive. What is appended later is newer than all of it. */
  readonly end: number;
  readonly #keep: KeyPredicate | undefined;
  readonly #budget: ByteBudget;
  #position: number;
  #latest = new Map<string, number>();
  #takenBytes = 0;
  #wanted: Float64Array | undefined;
  /** The batch in which it has stopped. */
  #stopped:
    { readonly baseOffset: number; readonly cursor: RecordCursor; readonly bytes: number } | undefined;

  constructor(start: number, end: number, keep: KeyPredicate | undefined, budget: ByteBudget) {
    this.#position = start;
    this.end = end;
    this.#keep = keep;
    this.#budget = budget;
    if (start >= end) this.#finish();
  }

  get done(): boolean {
    return this.#wanted !== undefined;
  }

  /** Where scanning goes on. */
  get position(): number {
    return this.#position;
  }

  /** After the scan: the first wanted offset at or above `offset`, or `end`. */
  nextWanted(offset: number): number {
    const wanted = this.#wanted!;
    return wanted[this.#indexOf(offset)] ?? this.end;
  }

  /** After the scan: whether the record at `offset`, below `end`, is the latest of its key. */
  wants(offset: number): boolean {
    return this.#wanted![this.#indexOf(offset)] === offset;
  }

  /**
   * Looks at the batches that follow {@link position}, for about `maxMs`.
   * @param batches none when there is nothing left below `end`
   * @throws OVERLOADED when there are too many keys; CORRUPT_BATCH, BATCH_TOO_LARGE when records cannot be read
   */
  take(batches: readonly Buffer[], inflatedMaxBytes: number, clock: Clock, maxMs: number): void {
    const startedMs = clock.monotonicMs();
    const isLate = (): boolean => clock.monotonicMs() - startedMs >= maxMs;
    for (const batch of batches) {
      const cursor = this.#cursorOf(batch, inflatedMaxBytes);
      if (!this.#walk(cursor, isLate)) return;
      this.#leaveBatch();
      this.#position = batchNextOffset(batch);
      if (isLate()) break;
    }
    if (batches.length === 0 || this.#position >= this.end) this.#finish();
  }

  /** Gives back what it holds of the budget. Idempotent. */
  close(): void {
    this.#leaveBatch();
    this.#budget.give(this.#takenBytes);
    this.#takenBytes = 0;
    this.#latest = new Map();
  }

  /** Where it has stopped, when that was in this batch. What is there may be another by now: then it begins with that. */
  #cursorOf(batch: Buffer, inflatedMaxBytes: number): RecordCursor {
    if (this.#stopped?.baseOffset === batchBaseOffset(batch)) return this.#stopped.cursor;
    this.#leaveBatch();
    return new RecordBatch(batch, { inflatedMaxBytes, verifyCrc: false }).cursor();
  }

  /** @returns false when it has stopped on the way, because others have to have their turn */
  #walk(cursor: RecordCursor, isLate: () => boolean): boolean {
    let records = 0;
    while (cursor.next()) {
      if (cursor.offset < this.end) this.#remember(cursor.key, cursor.offset);
      records++;
      if (records % RECORDS_PER_LOOK === 0 && isLate() && this.#stopAt(cursor)) return false;
    }
    return true;
  }

  /** Keeps the inflated records until it goes on, where that is within bounds; else it has to go on at once. */
  #stopAt(cursor: RecordCursor): boolean {
    if (this.#stopped) return true;
    const { length } = cursor.bytes;
    if (!this.#budget.tryTake(length)) return false;
    this.#stopped = { baseOffset: cursor.offset - cursor.offsetDelta, cursor, bytes: length };
    return true;
  }

  #leaveBatch(): void {
    this.#budget.give(this.#stopped?.bytes ?? 0);
    this.#stopped = undefined;
  }

  #remember(key: Buffer | null, offset: number): void {
    if (key === null || this.#keep?.(key) === false) return;
    const name = key.toString('latin1');
    if (!this.#latest.has(name)) {
      const bytes = key.length + KEY_OVERHEAD_BYTES;
      if (this.#latest.size >= MAX_KEYS || !this.#budget.tryTake(bytes)) {
        throw new SluiceError(
          'OVERLOADED',
          'too many keys for last-per-key; filter keys, or read from earliest',
        );
      }
      this.#takenBytes += bytes;
    }
    this.#latest.set(name, offset);
  }

  #finish(): void {
    const wanted = Float64Array.from(this.#latest.values()).sort();
    this.close();
    this.#takenBytes = wanted.byteLength;
    this.#budget.take(this.#takenBytes);
    this.#wanted = wanted;
  }

  #indexOf(offset: number): number {
    const wanted = this.#wanted!;
    let low = 0;
    let high = wanted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (wanted[middle]! < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
