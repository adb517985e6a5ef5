import type { Clock } from '../kernel/clock.ts';
import { SluiceError } from '../kernel/errors.ts';
import type { LogState } from '../log/log-state.ts';
import type { BatchHeader } from '../wire/record-batch.ts';
import { NO_PRODUCER } from '../wire/record-batch.ts';
import type { ProducerState, StoredBatch } from './producer-snapshot.ts';
import { REMEMBERED_BATCHES, decodeProducers, encodeProducers } from './producer-snapshot.ts';

export type { StoredBatch } from './producer-snapshot.ts';

/** Sequences wrap from 2^31 − 1 to 0. */
const SEQUENCE_MASK = 0x7fff_ffff;
const EXPIRY_MS = 7 * 24 * 60 * 60 * 1000;

/** What identifies a batch of an idempotent producer. */
export interface ProducerBatch {
  readonly producerId: number;
  readonly producerEpoch: number;
  /** Sequence of the first record. */
  readonly baseSequence: number;
  readonly recordCount: number;
}

/** A bound over the windows of all partitions. */
export interface ProducerBudget {
  /** Producers remembered now, in all partitions. */
  producers: number;
  readonly maxProducers: number;
  /** The window that has had the most, about; kept by the windows. Undefined at first. */
  largest?: ProducerWindow;
}

interface Producer {
  epoch: number;
  nextSequence: number;
  lastAppendMs: number;
  /** Oldest first, at most five. */
  readonly batches: StoredBatch[];
}

/**
 * What one partition remembers of idempotent producers, so that a batch sent again is stored once.
 *
 * A producer is forgotten after seven days without a batch, or, when there are too many, the one that has been quiet longest: its
 * last batch is the oldest in the log and the likeliest to be gone from it already. One that comes back after that gets
 * UNKNOWN_PRODUCER and begins again with a new id; only what it had in flight can then be stored twice.
 *
 * It comes back with a log on disk: from a snapshot, then from the batches behind that. With a log in memory it only goes back.
 *
 * @see KIP-98; Kafka's ProducerStateManager, which expires in the same way
 */
export class ProducerWindow implements LogState {
  readonly #clock: Clock;
  readonly #maxProducers: number;
  readonly #budget: ProducerBudget;
  /** In order of the last append: the first has been quiet longest. */
  readonly #producers = new Map<number, Producer>();
  /** Wall-clock time where the monotonic clock was 0: read once, so that a jump while the node runs changes no age. */
  readonly #wallBaseMs: number;

  /**
   * @param maxProducers of this partition
   * @param budget shared with other partitions; over it the one that remembers the most forgets, so that a flood of producers in one
   *   costs those of another nothing
   */
  constructor(clock: Clock, maxProducers: number, budget: ProducerBudget) {
    this.#clock = clock;
    this.#maxProducers = maxProducers;
    this.#budget = budget;
    this.#wallBaseMs = clock.now() - clock.monotonicMs();
  }

  /** Producers remembered. */
  get size(): number {
    return this.#producers.size;
  }

  /**
   * Whether a batch may be appended. Changes nothing; {@link record} it once it is stored.
   *
   * @returns where it was stored when it is one of the producer's last five, else undefined: append it
   * @throws PRODUCER_FENCED when its epoch is older than the producer's; UNKNOWN_PRODUCER when the producer is not known and the
   *   sequence is not 0; OUT_OF_ORDER_SEQUENCE when a sequence is missing before it, it is too old to be told from another, or
   *   a new epoch does not begin with 0
   */
  check(batch: ProducerBatch): StoredBatch | undefined {
    const producer = this.#producers.get(batch.producerId);
    if (!producer || this.#isExpired(producer)) {
      if (batch.baseSequence === 0) return undefined;
      throw new SluiceError(
        'UNKNOWN_PRODUCER',
        `producer ${batch.producerId} is not known here (any more) and does not begin with sequence 0; take a new producer id`,
      );
    }
    if (batch.producerEpoch < producer.epoch) {
      throw new SluiceError(
        'PRODUCER_FENCED',
        `epoch ${batch.producerEpoch} of producer ${batch.producerId} is over: ${producer.epoch} has begun`,
      );
    }
    if (batch.producerEpoch > producer.epoch) {
      if (batch.baseSequence === 0) return undefined;
      throw outOfOrder(batch, 0);
    }
    const stored = producer.batches.find(
      (one) => one.baseSequence === batch.baseSequence && one.recordCount === batch.recordCount,
    );
    if (stored) return stored;
    if (batch.baseSequence !== producer.nextSequence) throw outOfOrder(batch, producer.nextSequence);
    return undefined;
  }

  /** Remembers a batch that {@link check} let through and that has been stored. */
  record(batch: ProducerBatch, baseOffset: number, appendTimeMs: number): void {
    const { producerId, producerEpoch, baseSequence, recordCount } = batch;
    let producer = this.#producers.get(producerId);
    if (producer?.epoch === producerEpoch && !this.#isExpired(producer)) {
      if (producer.batches.length === REMEMBERED_BATCHES) producer.batches.shift();
      this.#producers.delete(producerId);
    } else {
      if (producer) this.#forget(producerId);
      this.#admit();
      producer = { epoch: producerEpoch, nextSequence: 0, lastAppendMs: 0, batches: [] };
    }
    const stored = { baseSequence, recordCount, baseOffset, appendTimeMs };
    producer.batches.push(stored);
    producer.nextSequence = sequenceBehind(stored);
    producer.lastAppendMs = this.#clock.monotonicMs();
    this.#producers.set(producerId, producer);
    if (producer.batches.length === 1) this.#noteSize();
  }

  /** Takes in a batch of the log, whatever {@link check} would say of it; how long ago it came is not known and taken for now. */
  replay(header: BatchHeader): void {
    if (header.producerId === NO_PRODUCER) return;
    const { producerId, producerEpoch } = header;
    const { baseSequence, recordCount, baseOffset, appendTimeMs } = storedBatch(header);
    this.record({ producerId, producerEpoch, baseSequence, recordCount }, baseOffset, appendTimeMs);
  }

  snapshot(): Buffer {
    const producers: ProducerState[] = [];
    for (const [id, producer] of this.#producers) {
      producers.push({ id, ...producer, lastAppendMs: this.#wallBaseMs + producer.lastAppendMs });
    }
    return encodeProducers(producers);
  }

  restore(snapshot: Buffer): void {
    const producers = decodeProducers(snapshot);
    const nowMs = this.#clock.monotonicMs();
    this.clear();
    for (const { id, epoch, nextSequence, lastAppendMs, batches } of producers) {
      this.#admit();
      const appendedMs = Math.min(nowMs, lastAppendMs - this.#wallBaseMs);
      this.#producers.set(id, { epoch, nextSequence, lastAppendMs: appendedMs, batches: [...batches] });
      this.#noteSize();
    }
  }

  reset(): void {
    this.clear();
  }

  /** A producer comes back with its last batch that is left: none before that can be under way any more. */
  truncate(offset: number, batchesBelow: Iterable<BatchHeader>): void {
    const wanted = new Map<number, Producer>();
    for (const [id, producer] of this.#producers) {
      const { batches, epoch } = producer;
      const first = batches.findIndex(({ baseOffset }) => baseOffset >= offset);
      if (first < 0) continue;
      const isNew = epoch === 0 && batches[0]!.baseSequence === 0;
      batches.length = first;
      if (first > 0) producer.nextSequence = sequenceBehind(batches.at(-1)!);
      else if (isNew) this.#forget(id);
      else wanted.set(id, producer);
    }
    if (wanted.size > 0) findLast(wanted, batchesBelow);
    for (const id of wanted.keys()) this.#forget(id);
  }

  /** Forgets producers that have been quiet for too long. */
  expire(): void {
    for (const [id, producer] of this.#producers) {
      if (!this.#isExpired(producer)) return;
      this.#forget(id);
    }
  }

  /** Forgets all. */
  clear(): void {
    this.#budget.producers -= this.#producers.size;
    this.#producers.clear();
  }

  /** One more is about to be remembered: somebody may have to be forgotten. */
  #admit(): void {
    const budget = this.#budget;
    if (this.#producers.size >= this.#maxProducers) this.#forgetQuietest();
    else if (budget.producers >= budget.maxProducers) (budget.largest ?? this).#forgetQuietest();
    budget.producers++;
  }

  #noteSize(): void {
    const { largest } = this.#budget;
    if (largest === undefined || this.size > largest.size) this.#budget.largest = this;
  }

  #forgetQuietest(): void {
    for (const id of this.#producers.keys()) {
      this.#forget(id);
      return;
    }
  }

  #forget(id: number): void {
    if (this.#producers.delete(id)) this.#budget.producers--;
  }

  #isExpired(producer: Producer): boolean {
    return this.#clock.monotonicMs() - producer.lastAppendMs >= EXPIRY_MS;
  }
}

/** Takes those of `wanted` out that it has found. */
function findLast(wanted: Map<number, Producer>, newestFirst: Iterable<BatchHeader>): void {
  for (const header of newestFirst) {
    const producer = wanted.get(header.producerId);
    if (!producer) continue;
    wanted.delete(header.producerId);
    const stored = storedBatch(header);
    producer.epoch = header.producerEpoch;
    producer.batches.push(stored);
    producer.nextSequence = sequenceBehind(stored);
    if (wanted.size === 0) return;
  }
}

function storedBatch({
  baseSequence,
  baseOffset,
  lastOffsetDelta,
  appendTime,
  maxTimestampMs,
}: BatchHeader): StoredBatch {
  // Compaction takes records out, which were counted in the sequence nevertheless.
  return {
    baseSequence,
    recordCount: lastOffsetDelta + 1,
    baseOffset,
    appendTimeMs: appendTime ? maxTimestampMs : 0,
  };
}

function sequenceBehind({ baseSequence, recordCount }: StoredBatch): number {
  return (baseSequence + recordCount) & SEQUENCE_MASK;
}

function outOfOrder(batch: ProducerBatch, expected: number): SluiceError {
  return new SluiceError(
    'OUT_OF_ORDER_SEQUENCE',
    `producer ${batch.producerId} sent sequence ${batch.baseSequence} where ${expected} is next`,
  );
}
