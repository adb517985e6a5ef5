import type { ClosableStateLog, LedState } from '../groups/led-state.ts';
import { notCoordinator } from '../groups/not-coordinator.ts';
import type { StateRecord } from '../groups/ports.ts';
import type { Clock } from '../kernel/clock.ts';
import { asSluiceError } from '../kernel/errors.ts';
import type { SluiceError } from '../kernel/errors.ts';
import type { Partition, PublishTaker } from '../partition/partition.ts';
import type { PartitionReader } from '../partition/reader.ts';
import { BATCH_MAX_RECORDS } from '../wire/record-batch.ts';
import { RecordBatchEncoder, recordBytesAtMost } from '../wire/record-batch-encoder.ts';

/** Bytes of one batch of facts; what one call stores stays together even when it is more. */
const BATCH_BYTES = 1024 * 1024;
/** What one call stores is several batches beyond this, or beyond what a batch may have of records: its partition would take no larger one. */
const TOGETHER_BYTES = 8 * 1024 * 1024;
/** When all in-sync replicas have it. */
const ACKS_ALL = 2;

interface Append {
  readonly records: readonly StateRecord[];
  readonly stored: () => void;
  readonly refused: (error: SluiceError) => void;
}

/** A partition of `__groups` that this node leads, in the epoch in which it was found. */
export class LedPartitionState implements LedState {
  readonly partition: number;
  readonly leaderEpoch: number;
  readonly #copy: Partition;
  readonly #clock: Clock;

  constructor(copy: Partition, clock: Clock) {
    this.#copy = copy;
    this.#clock = clock;
    this.partition = copy.partition;
    this.leaderEpoch = copy.leaderEpoch;
  }

  openReader(): PartitionReader | Promise<PartitionReader> {
    return this.#copy.openReader({ at: 'earliest' });
  }

  end(): number {
    return this.#copy.logEnd;
  }

  isLed(): boolean {
    return this.#copy.leaderEpoch === this.leaderEpoch && this.#copy.refusal(1) === undefined;
  }

  openLog(): ClosableStateLog {
    return new PartitionStateLog(this.#copy, this.leaderEpoch, this.#clock);
  }
}

/** Facts on their way into a partition: what one turn of the event loop brings is one batch. */
class PartitionStateLog implements ClosableStateLog, PublishTaker<readonly Append[]> {
  readonly partition: number;
  readonly leaderEpoch: number;
  readonly #copy: Partition;
  readonly #clock: Clock;
  readonly #encoder = new RecordBatchEncoder();
  #waiting: Append[] = [];
  #isClosed = false;

  constructor(copy: Partition, leaderEpoch: number, clock: Clock) {
    this.#copy = copy;
    this.#clock = clock;
    this.leaderEpoch = leaderEpoch;
    this.partition = copy.partition;
  }

  append(records: readonly StateRecord[]): Promise<void> {
    if (this.#isClosed) return Promise.reject(notCoordinator());
    const parts = partsOf(records).map((part) => this.#appendPart(part));
    return parts.length === 1 ? parts[0]! : Promise.all(parts).then(() => undefined);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { refused } of waiting) refused(notCoordinator());
  }

  stored(appends: readonly Append[]): void {
    for (const { stored } of appends) stored();
  }

  /** Nothing is stored any more: what comes later may rest on it. */
  refused(appends: readonly Append[], error: SluiceError): void {
    this.close();
    for (const { refused } of appends) refused(error);
  }

  #appendPart(records: readonly StateRecord[]): Promise<void> {
    return new Promise((stored, refused) => {
      if (this.#waiting.length === 0) setImmediate(() => this.#write());
      this.#waiting.push({ records, stored, refused });
    });
  }

  #write(): void {
    const appends = this.#waiting;
    this.#waiting = [];
    let batch: Append[] = [];
    let [bytes, count] = [0, 0];
    for (const append of appends) {
      const more = bytesOf(append.records);
      if (bytes > 0 && (bytes + more > BATCH_BYTES || count + append.records.length > BATCH_MAX_RECORDS)) {
        this.#publish(batch);
        batch = [];
        [bytes, count] = [0, 0];
      }
      batch.push(append);
      bytes += more;
      count += append.records.length;
    }
    if (batch.length > 0) this.#publish(batch);
  }

  #publish(appends: readonly Append[]): void {
    // In another epoch others may have written what this coordinator does not know.
    if (this.#copy.role !== 'leader' || this.#copy.leaderEpoch !== this.leaderEpoch || this.#isClosed) {
      this.refused(appends, notCoordinator());
      return;
    }
    let batch: Buffer;
    try {
      batch = this.#encode(appends);
    } catch (error) {
      this.refused(appends, asSluiceError(error));
      return;
    }
    this.#copy.publish(batch, ACKS_ALL, this, appends);
  }

  #encode(appends: readonly Append[]): Buffer {
    const nowMs = Math.trunc(this.#clock.now());
    for (const { records } of appends) {
      for (const { key, value } of records) this.#encoder.append(Buffer.from(key), value, [], nowMs);
    }
    return this.#encoder.finish({ codec: 'none' });
  }
}

/** Nearly always all of them. */
function partsOf(records: readonly StateRecord[]): (readonly StateRecord[])[] {
  const parts: (readonly StateRecord[])[] = [];
  let [first, bytes] = [0, 0];
  for (const [at, record] of records.entries()) {
    const more = bytesOfOne(record);
    if (at > first && (bytes + more > TOGETHER_BYTES || at - first >= BATCH_MAX_RECORDS)) {
      parts.push(records.slice(first, at));
      [first, bytes] = [at, 0];
    }
    bytes += more;
  }
  if (first < records.length) parts.push(first === 0 ? records : records.slice(first));
  return parts;
}

function bytesOf(records: readonly StateRecord[]): number {
  let bytes = 0;
  for (const record of records) bytes += bytesOfOne(record);
  return bytes;
}

function bytesOfOne({ key, value }: StateRecord): number {
  return recordBytesAtMost(null, value) + Buffer.byteLength(key);
}
