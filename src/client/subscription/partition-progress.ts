import { OffsetRanges } from './offset-ranges.ts';

/** How far a subscription is in one partition. */
export class PartitionProgress {
  readonly topic: string;
  readonly partition: number;
  /** Everything below has arrived, or is known to be gone: here a lost connection resumes. */
  received: number;
  /** Everything below was handed to the application, or is known to be gone. */
  consumed: number;
  /** Cluster whose offsets these are. */
  readonly clusterId: string;
  /** Where the broker was last asked to go on; a stream that begins below it comes from another log. */
  resumedAt = 0;
  /** Nobody reads it any more: what waits of it is not handed out. */
  dropped = false;
  readonly #receivedAhead = new OffsetRanges();
  readonly #consumedAhead = new OffsetRanges();

  constructor(topic: string, partition: number, firstOffset: number, clusterId: string) {
    this.topic = topic;
    this.clusterId = clusterId;
    this.partition = partition;
    this.received = firstOffset;
    this.consumed = firstOffset;
  }

  /** Whether all of [from, to) has arrived before. */
  hasReceived(from: number, to: number): boolean {
    return to <= this.received || this.#receivedAhead.covers(Math.max(from, this.received), to);
  }

  /** What of [from, to) has arrived before, above `received`; undefined: nothing. Only out of order there is something. */
  receivedWithin(from: number, to: number): OffsetRanges | undefined {
    return this.#receivedAhead.touches(from, to) ? this.#receivedAhead.clone() : undefined;
  }

  /** [from, to) arrived. */
  receive(from: number, to: number): void {
    this.received = advance(this.received, from, to, this.#receivedAhead);
  }

  /** [from, to) was handed to the application. */
  consume(from: number, to: number): void {
    this.consumed = advance(this.consumed, from, to, this.#consumedAhead);
  }
}

/** The new end of what is contiguous from the start on; ranges beyond a hole wait in `ahead`. */
function advance(position: number, from: number, to: number, ahead: OffsetRanges): number {
  if (to <= position) return position;
  if (from <= position && ahead.count === 0) return to;
  ahead.add(from, to);
  const end = ahead.containing(position) ?? position;
  ahead.dropBelow(end);
  return end;
}
