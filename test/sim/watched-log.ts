import type { SluiceError } from '../../src/kernel/errors.ts';
import type { LeaderEpoch, PartitionLog, RetentionLimits } from '../../src/log/partition-log.ts';
import { batchBaseOffset, batchNextOffset } from '../../src/wire/record-batch.ts';

/** One batch and where it is. */
export interface PlacedBatch {
  readonly baseOffset: number;
  readonly nextOffset: number;
  readonly bytes: Buffer;
}

export function placed(bytes: Buffer): PlacedBatch {
  return { baseOffset: batchBaseOffset(bytes), nextOffset: batchNextOffset(bytes), bytes };
}

/** A log that remembers beside itself what was appended, so that it can be looked at without waiting for a disk. */
export class WatchedLog implements PartitionLog {
  readonly #log: PartitionLog;
  #batches: PlacedBatch[];

  /** @param retained what the log holds already */
  constructor(log: PartitionLog, retained: readonly Buffer[] = []) {
    this.#log = log;
    this.#batches = retained.map(placed);
  }

  get logStart(): number {
    return this.#log.logStart;
  }

  get logEnd(): number {
    return this.#log.logEnd;
  }

  get durableEnd(): number {
    return this.#log.durableEnd;
  }

  get leaderEpochs(): readonly LeaderEpoch[] {
    return this.#log.leaderEpochs;
  }

  get failure(): SluiceError | undefined {
    return this.#log.failure;
  }

  get retainedBytes(): number {
    return this.#log.retainedBytes;
  }

  get onLoss(): ((end: number) => void) | undefined {
    return this.#log.onLoss;
  }

  set onLoss(listener: ((end: number) => void) | undefined) {
    this.#log.onLoss = listener;
  }

  get retainedFrom(): (() => number) | undefined {
    return this.#log.retainedFrom;
  }

  set retainedFrom(offset: (() => number) | undefined) {
    this.#log.retainedFrom = offset;
  }

  get isEverywhere(): (() => boolean) | undefined {
    return this.#log.isEverywhere;
  }

  set isEverywhere(answer: (() => boolean) | undefined) {
    this.#log.isEverywhere = answer;
  }

  /** What is in the log below its end, in order; perhaps also what retention has dropped. */
  batches(): readonly PlacedBatch[] {
    this.#cut(this.#log.logEnd);
    return this.#batches;
  }

  append(batch: Buffer): void {
    const one = placed(batch);
    this.#log.append(batch);
    this.#cut(one.baseOffset);
    this.#batches.push(one);
  }

  whenDurable(offset: number, callback: (error: SluiceError | undefined) => void): void {
    this.#log.whenDurable(offset, callback);
  }

  read(offset: number, upTo: number, maxBytes: number): readonly Buffer[] | Promise<readonly Buffer[]> {
    return this.#log.read(offset, upTo, maxBytes);
  }

  findTimestamp(timestampMs: number, upTo: number): Buffer | undefined | Promise<Buffer | undefined> {
    return this.#log.findTimestamp(timestampMs, upTo);
  }

  bytesFrom(offset: number): number {
    return this.#log.bytesFrom(offset);
  }

  ageMsAt(offset: number): number {
    return this.#log.ageMsAt(offset);
  }

  enforceRetention(): void {
    this.#log.enforceRetention();
  }

  configure(limits: RetentionLimits): void {
    this.#log.configure(limits);
  }

  deleteBefore(offset: number): void {
    this.#log.deleteBefore(offset);
  }

  whenStartDurable(offset: number): void | Promise<void> {
    return this.#log.whenStartDurable(offset);
  }

  truncate(offset: number): void | Promise<void> {
    return this.#log.truncate(offset);
  }

  /** Empty in the end, also when it fails. */
  reset(offset: number): void | Promise<void> {
    const empty = (): void => void (this.#batches = []);
    const done = this.#log.reset(offset);
    if (!done) empty();
    return done?.finally(empty);
  }

  close(): void | Promise<void> {
    return this.#log.close();
  }

  #cut(end: number): void {
    const batches = this.#batches;
    while (batches.length > 0 && batches.at(-1)!.nextOffset > end) batches.pop();
  }
}
