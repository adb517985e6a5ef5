import type { Clock } from '../kernel/clock.ts';
import type { PartitionLog } from '../log/partition-log.ts';
import type { BatchHeader } from '../wire/record-batch.ts';
import { NO_PRODUCER, checkBatch, stampBatch, verifyBatch } from '../wire/record-batch.ts';
import type { OffsetReserve } from './offset-reserve.ts';
import type { AppendOutcome, PartitionParts, PartitionSettings } from './partition-parts.ts';
import type { ProducerWindow, StoredBatch } from './producer-window.ts';
import type { PartitionCounters } from './reader-source.ts';

/** The way of a batch into the log: checked, recognised when it is a repetition, stamped, appended, counted. */
export class BatchIntake {
  settings: PartitionSettings;
  readonly #inflatedMaxBytes: number;
  readonly #clock: Clock;
  readonly #log: PartitionLog;
  readonly #producers: ProducerWindow;
  readonly #counters: PartitionCounters;

  constructor(parts: PartitionParts) {
    this.settings = parts.settings;
    this.#inflatedMaxBytes = parts.inflatedMaxBytes;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#producers = parts.producers;
    this.#counters = parts.counters;
  }

  /**
   * Takes a batch of a client.
   * @param epoch of the leader that this node is
   * @param reserve what offsets it may hand out; undefined: any
   * @throws as `Partition.append`; nothing has changed then
   */
  append(batch: Buffer, epoch: number, reserve: OffsetReserve | undefined): AppendOutcome {
    const header = verifyBatch(batch, {
      batchMaxBytes: this.settings.batchMaxBytes,
      inflatedMaxBytes: this.#inflatedMaxBytes,
    });
    const stored = header.producerId === NO_PRODUCER ? undefined : this.#producers.check(header);
    if (stored) return this.#duplicate(stored);
    const baseOffset = this.#log.logEnd;
    const nextOffset = baseOffset + header.recordCount;
    reserve?.take(nextOffset);
    const appendTimeMs = this.settings.timestamps === 'append' ? Math.floor(this.#clock.now()) : undefined;
    stampBatch(batch, baseOffset, epoch, appendTimeMs);
    this.#log.append(batch);
    const outcome: AppendOutcome = {
      kind: 'appended',
      baseOffset,
      nextOffset,
      appendTimeMs: appendTimeMs ?? 0,
    };
    this.#account(header, outcome, batch.length);
    return outcome;
  }

  /** Takes a batch as the leader has stored it. @throws CORRUPT_BATCH, STORAGE_FULL, STORAGE_FAILED, UNAVAILABLE */
  replicate(batch: Buffer): void {
    const header = checkBatch(batch);
    this.#log.append(batch);
    this.#producers.replay(header);
  }

  /** Forgets producers that have been quiet for too long. */
  expireProducers(): void {
    this.#producers.expire();
  }

  /** Forgets all producers. */
  close(): void {
    this.#producers.clear();
  }

  #duplicate(stored: StoredBatch): AppendOutcome {
    this.#counters.duplicates++;
    const { baseOffset, recordCount, appendTimeMs } = stored;
    return { kind: 'duplicate', baseOffset, nextOffset: baseOffset + recordCount, appendTimeMs };
  }

  #account(header: BatchHeader, outcome: AppendOutcome, bytes: number): void {
    if (header.producerId !== NO_PRODUCER) {
      this.#producers.record(header, outcome.baseOffset, outcome.appendTimeMs);
    }
    this.#counters.batchesIn++;
    this.#counters.recordsIn += header.recordCount;
    this.#counters.bytesIn += bytes;
  }
}
