import type { SluiceError } from '../../kernel/errors.ts';
import type { Produced } from '../../wire/produce.ts';
import { stampProducer } from '../../wire/record-batch.ts';

/** Where a record was stored. */
export interface SendResult {
  readonly topic: string;
  readonly partition: number;
  /** Undefined with acks `none`. */
  readonly offset: number | undefined;
  /** Milliseconds since 1970 where the topic stamps append time, else undefined. */
  readonly appendTimeMs: number | undefined;
}

/** Somebody waits for one record of a batch. */
export interface Delivery {
  /** Place of the record in its batch; set when the record is appended. */
  index: number;
  resolve(result: SendResult): void;
  reject(error: SluiceError): void;
}

/** Who an idempotent producer is, as the broker knows it. */
export interface ProducerIdentity {
  readonly producerId: number;
  readonly producerEpoch: number;
}

/** Tells the log of a partition in memory from those before it and elsewhere. */
export interface LogIdentity {
  readonly clusterId: string;
  /** Grows with each start of the leader; undefined until the broker of this connection has told. */
  readonly leaderEpoch: number | undefined;
}

/** Sequence numbers wrap here. */
const SEQUENCES = 2 ** 31;

/** Sequence of the batch after one of `records` records. */
export function nextSequence(sequence: number, records: number): number {
  return (sequence + records) % SEQUENCES;
}

/** A batch that is ready to be sent, and stays until it is answered for. */
export class OutgoingBatch {
  /** Counts the batches of its partition queue. */
  readonly number: number;
  readonly bytes: Buffer;
  readonly recordCount: number;
  /** What the records took of the producer's room. */
  readonly roomBytes: number;
  /** Monotonic time after which nobody waits for it any more, milliseconds. */
  readonly deadlineMs: number;
  readonly deliveries: readonly Delivery[];
  /** Who sends it; undefined: not stamped yet. */
  identity: ProducerIdentity | undefined;
  sequence = 0;
  inFlight = false;
  /** Times it was sent. */
  attempts = 0;
  /** Some attempt was lost without an answer: it may have been stored. */
  uncertain = false;
  /** Where the last attempt went. */
  sentTo: LogIdentity | undefined;
  /** By cluster, the newest epoch in which an attempt was lost; beyond any where that is not known. */
  #lostIn: Map<string, number> | undefined;
  /** Times it was given another identity. */
  renewals = 0;
  /** Its deadline has passed; a late answer means nothing. */
  abandoned = false;

  constructor(
    number: number,
    bytes: Buffer,
    recordCount: number,
    roomBytes: number,
    deadlineMs: number,
    deliveries: readonly Delivery[],
  ) {
    this.number = number;
    this.bytes = bytes;
    this.recordCount = recordCount;
    this.roomBytes = roomBytes;
    this.deadlineMs = deadlineMs;
    this.deliveries = deliveries;
  }

  /** Gives it a place in the order of a producer. Only while the transport does not read the bytes. */
  stamp(identity: ProducerIdentity, sequence: number): void {
    if (this.identity === identity && this.sequence === sequence) return;
    this.identity = identity;
    this.sequence = sequence;
    stampProducer(this.bytes, { ...identity, baseSequence: sequence });
  }

  /** The last attempt may or may not have stored it. */
  lose(): void {
    this.uncertain = true;
    const { clusterId, leaderEpoch = Infinity } = this.sentTo ?? { clusterId: '' };
    this.#lostIn ??= new Map();
    this.#lostIn.set(clusterId, Math.max(this.#lostIn.get(clusterId) ?? 0, leaderEpoch));
  }

  /** Whether every lost attempt went to another log than this; undefined while that is not to be told. */
  isNewTo({ clusterId, leaderEpoch }: LogIdentity): boolean | undefined {
    const lostEpoch = this.#lostIn?.get(clusterId);
    if (lostEpoch === undefined) return true;
    return leaderEpoch === undefined ? undefined : leaderEpoch > lostEpoch;
  }

  resolve(topic: string, partition: number, produced: Produced | undefined): void {
    const appendTimeMs = produced?.appendTimeMs;
    for (const delivery of this.deliveries) {
      const offset = produced === undefined ? undefined : produced.baseOffset + delivery.index;
      delivery.resolve({ topic, partition, offset, appendTimeMs });
    }
  }

  reject(error: SluiceError): void {
    for (const delivery of this.deliveries) delivery.reject(error);
  }
}
