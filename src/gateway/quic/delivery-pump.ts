import type { ErrorCode } from '../../kernel/errors.ts';
import { asSluiceError } from '../../kernel/errors.ts';
import type { PartitionReader, ReadResult } from '../../partition/reader.ts';
import type { DeliveryOwner, DeliverySink, SinkPump } from './delivery.ts';
import { BEHIND_BYTES, BEHIND_MS, EMPTY_READ_COST_BYTES, TURN_BYTES } from './limits.ts';
import { BATCH_HEADER_BYTES } from '../../wire/record-batch.ts';
import { FRAME_HEADER_BYTES } from '../../wire/frame.ts';
import type { Pump, PumpScheduler } from './pump-scheduler.ts';

/** What a batch without records takes on a stream. */
const EMPTY_BATCH_BYTES = FRAME_HEADER_BYTES + BATCH_HEADER_BYTES;

/** What a sink's turn cost when nothing more is to be read now. */
const NOTHING = -1;

/**
 * Moves one partition's batches to one subscriber at the subscriber's pace.
 *
 *     reader ── read(128 KiB) ──> pump ── while writable, 256 KiB a turn ──> sink ──> stream
 *       └─ onReadable ─> wake          <─ wake ── onWritable ─┘
 *
 * It holds nothing: a client that does not read makes the sink unwritable, and then the log is not read either.
 */
export class DeliveryPump implements Pump, SinkPump {
  scheduled = false;
  readonly reader: PartitionReader;
  /** Asks for a turn: there may be something to read, or room to write. */
  readonly wake = (): void => {
    if (!this.#over) this.#scheduler.wake(this);
  };
  /** Ends it without a word: the client does not want it, or is gone. Idempotent. */
  readonly abandon = (): void => {
    if (!this.#over) this.#close(undefined);
  };
  readonly #owner: DeliveryOwner;
  readonly #scheduler: PumpScheduler;
  #sink!: DeliverySink;
  #reading = false;
  #over = false;
  /** The last turn found everything read. */
  #idle = false;
  #behind = false;

  constructor(reader: PartitionReader, owner: DeliveryOwner, scheduler: PumpScheduler) {
    this.reader = reader;
    this.#owner = owner;
    this.#scheduler = scheduler;
    reader.onReadable = this.wake;
  }

  /** Begins to deliver to `sink`. */
  start(sink: DeliverySink): void {
    this.#sink = sink;
    this.wake();
  }

  get topic(): string {
    return this.reader.topic;
  }

  get partition(): number {
    return this.reader.partition;
  }

  get blockedMs(): number {
    return this.#sink.blockedMs;
  }

  /** True while there may be something to read and the client has no room for it. */
  get blocked(): boolean {
    return !this.#over && !this.#sink.writable;
  }

  pump(): boolean {
    if (!this.#idle || this.#behind) this.#judge();
    return this.#deliver();
  }

  #judge(): void {
    const { bytes, ms } = this.reader.lag();
    const behind = ms > BEHIND_MS || bytes > BEHIND_BYTES;
    if (behind === this.#behind) return;
    this.#behind = behind;
    this.#sink.setBehind(behind);
  }

  #deliver(): boolean {
    this.#idle = false;
    let budget = TURN_BYTES;
    while (this.#mayRead()) {
      if (budget <= 0) return true;
      const result = this.reader.read(this.#sink.readBytes);
      if (result instanceof Promise) {
        this.#await(result);
        return false;
      }
      const cost = this.#take(result);
      if (cost === NOTHING) return false;
      budget -= cost <= EMPTY_BATCH_BYTES ? EMPTY_READ_COST_BYTES : cost;
    }
    return false;
  }

  /** Ends it with an END, or what the mode has instead. Idempotent. */
  end(code: ErrorCode | undefined, text: string): void {
    if (this.#over) return;
    this.#close(code);
    try {
      this.#sink.finish(code, text);
    } catch {
      // Closed meanwhile: nobody is left to be told.
    }
  }

  #close(code: ErrorCode | undefined): void {
    this.#over = true;
    this.reader.close();
    this.#owner.deliveryOver(this.reader, code);
  }

  #mayRead(): boolean {
    return !this.#over && !this.#reading && !this.#owner.paused && this.#sink.writable;
  }

  #await(reading: Promise<ReadResult>): void {
    this.#reading = true;
    const goOn = (): void => {
      this.#reading = false;
      this.wake();
    };
    reading.then(
      (result) => {
        if (!this.#over) this.#take(result);
        goOn();
      },
      (error: unknown) => {
        this.end(asSluiceError(error).code, 'the partition cannot be read');
        goOn();
      },
    );
  }

  /** @returns bytes handed on, or NOTHING */
  #take(result: ReadResult): number {
    try {
      return this.#hand(result);
    } catch (error) {
      const known = asSluiceError(error);
      this.end(known.code, known.message);
      return NOTHING;
    }
  }

  #hand(result: ReadResult): number {
    switch (result.kind) {
      case 'batches': {
        const bytes = this.#sink.takeBatches(result.batches);
        this.#owner.delivered(bytes);
        return bytes;
      }
      case 'gap':
        this.#sink.takeGap(result.from, result.to, result.reason);
        if (!this.#owner.endAtGap) return 0;
        this.end('GAP', `offsets ${result.from} to ${result.to} are gone and the subscription ends at a gap`);
        return NOTHING;
      case 'idle':
        this.#idle = true;
        return NOTHING;
      case 'ended':
        this.end(
          result.code,
          result.code === undefined ? 'the topic is gone' : 'the partition cannot be read',
        );
        return NOTHING;
    }
  }
}
