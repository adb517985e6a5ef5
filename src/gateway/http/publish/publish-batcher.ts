import type { Acks, PublishOutcome } from '../../../broker/broker.ts';
import type { Principal } from '../../../broker/ports.ts';
import type { Clock } from '../../../kernel/clock.ts';
import { SluiceError, asSluiceError } from '../../../kernel/errors.ts';
import { RecordBatchEncoder, recordBytesAtMost } from '../../../wire/record-batch-encoder.ts';
import type { ApiBroker } from '../api-context.ts';
import type { RecordInput } from './record-input.ts';

/** Where records go. */
export interface Destination {
  readonly topic: string;
  /** Undefined: by the key, or in turn where there is none. */
  readonly partition: number | undefined;
  readonly acks: Acks;
}

/** Takes the outcome of one record: where it is stored, or why not; called exactly once. */
export type RecordCallback = (error: SluiceError | undefined, partition: number, offset: number) => void;

/** A batch of records of several requests is closed when it has so many bytes; a record that is larger has a batch of its own. */
const SHARED_MAX_BYTES = 64 * 1024;

interface OpenBatch {
  readonly principal: Principal;
  readonly destination: Destination;
  readonly records: RecordInput[];
  readonly callbacks: RecordCallback[];
  bytes: number;
}

/**
 * Publishes single records; those of one turn of the event loop that go to the same place for the same principal share a batch.
 *
 * A record with a key whose partition is not said has a batch of its own: where it goes is for the broker to say.
 */
export class PublishBatcher {
  readonly #broker: Pick<ApiBroker, 'publish'>;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #encoder = new RecordBatchEncoder();
  #open = new Map<string, OpenBatch>();
  #flushing = false;

  constructor(broker: Pick<ApiBroker, 'publish'>, clock: Pick<Clock, 'now'>) {
    this.#broker = broker;
    this.#clock = clock;
  }

  /** Publishes a record in this turn or at its end. @param done as `Broker.publish` */
  add(principal: Principal, destination: Destination, record: RecordInput, done: RecordCallback): void {
    const bytes = recordBytesAtMost(record.key, record.value, record.headers);
    const isPlaced = record.key === null || destination.partition !== undefined;
    if (!isPlaced || bytes > SHARED_MAX_BYTES) {
      this.#publish({ principal, destination, records: [record], callbacks: [done], bytes });
      return;
    }
    const place = placeOf(principal, destination);
    let batch = this.#open.get(place);
    if (batch && batch.bytes + bytes > SHARED_MAX_BYTES) {
      this.#publish(batch);
      batch = undefined;
    }
    if (!batch) {
      batch = { principal, destination, records: [], callbacks: [], bytes: 0 };
      this.#open.set(place, batch);
    }
    batch.records.push(record);
    batch.callbacks.push(done);
    batch.bytes += bytes;
    this.#flushLater();
  }

  /**
   * Publishes records as one batch.
   * @param done called once; the offset is that of the first
   */
  publishBatch(
    principal: Principal,
    { topic, partition, acks }: Destination,
    records: readonly RecordInput[],
    done: RecordCallback,
  ): void {
    let batch: Buffer;
    try {
      batch = this.#encode(records);
    } catch (error) {
      done(asSluiceError(error), 0, 0);
      return;
    }
    this.#broker.publish(
      principal,
      topic,
      partition,
      batch,
      acks,
      (outcome: PublishOutcome | SluiceError) => {
        if (outcome instanceof SluiceError) done(outcome, 0, 0);
        else done(undefined, outcome.partition, outcome.baseOffset);
      },
    );
  }

  #flushLater(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      const open = this.#open;
      this.#open = new Map();
      for (const batch of open.values()) this.#publish(batch);
    });
  }

  #publish(batch: OpenBatch): void {
    const { principal, destination, records, callbacks } = batch;
    this.publishBatch(principal, destination, records, (error, partition, offset) => {
      if (error && records.length > 1 && isOfTheBatch(error)) this.#publishEach(batch);
      else for (let at = 0; at < callbacks.length; at += 1) callbacks[at]!(error, partition, offset + at);
    });
  }

  /** What no record alone is guilty of: each for itself. */
  #publishEach({ principal, destination, records, callbacks }: OpenBatch): void {
    for (const [at, record] of records.entries())
      this.publishBatch(principal, destination, [record], callbacks[at]!);
  }

  #encode(records: readonly RecordInput[]): Buffer {
    const encoder = this.#encoder;
    try {
      const nowMs = Math.floor(this.#clock.now());
      for (const { key, value, headers, timestampMs } of records)
        encoder.append(key, value, headers, timestampMs ?? nowMs);
      return encoder.finish({ codec: 'none' });
    } catch (error) {
      encoder.clear();
      throw error;
    }
  }
}

/** Refused with its neighbours: one of them may be wrong, or all together too large. */
function isOfTheBatch({ code }: SluiceError): boolean {
  return code === 'BATCH_TOO_LARGE' || code === 'INVALID_ARGUMENT';
}

function placeOf({ kind, name, tokenId }: Principal, { topic, partition, acks }: Destination): string {
  return `${topic}\n${partition ?? ''}\n${acks}\n${kind}\n${tokenId ?? ''}\n${name}`;
}
