import { filePath } from './file-names.ts';
import type { SegmentFacts } from './segment-index.ts';
import { SegmentIndex } from './segment-index.ts';

/** One segment file of a log: record batches one after the other, nothing else. */
export class Segment implements SegmentFacts {
  readonly baseOffset: number;
  readonly path: string;
  readonly indexPath: string;
  nextOffset: number;
  /** Bytes of whole batches; what may be behind them in the file is nobody's. */
  bytes = 0;
  maxTimestampMs = -Infinity;
  firstAppendMs = 0;
  lastAppendMs = 0;
  /** In memory while the segment is active; a sealed one's is loaded when it is needed. */
  index: SegmentIndex | undefined;
  /** Why the offsets between this segment and the next are gone, although nobody deleted them. */
  lostBehind: string | undefined;
  #replacing: PromiseWithResolvers<void> | undefined;

  constructor(directory: string, baseOffset: number) {
    this.baseOffset = baseOffset;
    this.nextOffset = baseOffset;
    this.path = filePath(directory, baseOffset, 'log');
    this.indexPath = filePath(directory, baseOffset, 'index');
  }

  /** A new, empty, active segment. */
  static active(directory: string, baseOffset: number): Segment {
    const segment = new Segment(directory, baseOffset);
    segment.index = new SegmentIndex(baseOffset);
    return segment;
  }

  /**
   * Set from just before the file is replaced by another: who opened it later may have either, and has to begin again, with what
   * the log then has in this place, when it resolves.
   */
  get replaced(): Promise<void> | undefined {
    return this.#replacing?.promise;
  }

  beginReplacing(): void {
    this.#replacing = Promise.withResolvers();
  }

  /** @param isDone false: the file is what it was */
  endReplacing(isDone: boolean): void {
    this.#replacing?.resolve();
    if (!isDone) this.#replacing = undefined;
  }

  /** Takes over what is known about the file. */
  assume(facts: Omit<SegmentFacts, 'baseOffset'>): void {
    this.nextOffset = facts.nextOffset;
    this.bytes = facts.bytes;
    this.maxTimestampMs = facts.maxTimestampMs;
    this.firstAppendMs = facts.firstAppendMs;
    this.lastAppendMs = facts.lastAppendMs;
  }

  /** Takes note of a batch behind the last one. @param appendedMs milliseconds since 1970 */
  add(
    baseOffset: number,
    nextOffset: number,
    bytes: number,
    maxTimestampMs: number,
    appendedMs: number,
  ): void {
    this.index?.add(baseOffset, this.bytes, maxTimestampMs, appendedMs);
    if (this.bytes === 0) this.firstAppendMs = appendedMs;
    this.lastAppendMs = appendedMs;
    this.nextOffset = nextOffset;
    this.bytes += bytes;
    if (maxTimestampMs > this.maxTimestampMs) this.maxTimestampMs = maxTimestampMs;
  }

  /** Forgets what is at `position` and behind it. */
  cut(nextOffset: number, position: number): void {
    this.nextOffset = nextOffset;
    this.bytes = position;
    this.index?.truncate(position);
    this.lostBehind = undefined;
  }
}

/** Position in `segments`, which rise, of the one that holds `offset`: the last that begins at or below it; −1 when none does. */
export function segmentAt(segments: readonly Segment[], offset: number): number {
  let low = 0;
  let high = segments.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (segments[middle]!.baseOffset <= offset) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
