import { asSluiceError, SluiceError } from '../../kernel/errors.ts';
import type { HeaderInput } from '../../wire/record-batch-encoder.ts';
import { recordBytesAtMost } from '../../wire/record-batch-encoder.ts';
import { BATCH_HEADER_BYTES } from '../../wire/record-batch.ts';
import type { Unlisten } from '../events.ts';
import { Events } from '../events.ts';
import type { Delivery, SendResult } from './outgoing-batch.ts';
import type { ProducerContext } from './producer-engine.ts';
import { ProducerEngine, tooLarge } from './producer-engine.ts';
import type { ProducerPlan } from './producer-options.ts';
import type { RecordToSend } from '../record.ts';
import { withDeliveryTimes } from '../record-times.ts';
import { splitAddress, toBytes, toHeaders } from '../record.ts';

/** Records that were given up and that nobody waited for. */
export interface RejectedEvent {
  /** Undefined with acks `none`, where the broker does not say which records it refused. */
  readonly topic: string | undefined;
  readonly partition: number | undefined;
  /** 0 where it is not known. */
  readonly records: number;
  readonly error: SluiceError;
}

/** Events of a producer. */
export interface ProducerEvents {
  /** Records taken by `offer` could not be stored. */
  rejected: RejectedEvent;
}

interface WaitingSend {
  readonly record: RecordToSend;
  readonly delivery: Delivery;
}

const NO_HEADERS: readonly HeaderInput[] = [];
/** Used until a broker has said more. */
const DEFAULT_LIMITS = { maxKeyBytes: 64 * 1024, maxBatchBytes: 16 * 1024 * 1024 };

/**
 * Publishes records: gathers them into batches per partition, keeps their order, and sends again what was not answered.
 *
 *     send / offer ─> topic lane ─> partition queue ─> batch ── PRODUCE ──> broker
 *
 * With idempotence (the default) a retry never stores a record twice; docs/sdk.md says what that needs.
 */
export class Producer implements AsyncDisposable {
  readonly #engine: ProducerEngine;
  readonly #clock: ProducerContext['ports']['clock'];
  readonly #events = new Events<ProducerEvents>();
  readonly #onClosed: (producer: Producer) => void;
  /** Sends that wait for room, in order: nobody overtakes them. */
  #waiting: WaitingSend[] = [];
  #failed: SluiceError | undefined;
  #closing: Promise<void> | undefined;
  #unheardError: SluiceError | undefined;

  private constructor(plan: ProducerPlan, context: ProducerContext, onClosed: (producer: Producer) => void) {
    this.#clock = context.ports.clock;
    this.#onClosed = onClosed;
    this.#engine = new ProducerEngine(plan, context, {
      rejected: (topic, partition, error, records) => {
        this.#unheardError ??= error;
        this.#events.emit('rejected', { topic, partition, error, records });
      },
      failed: (error) => this.abort(error),
    });
  }

  /** @param onClosed called once when the producer is over */
  static start(
    plan: ProducerPlan,
    context: ProducerContext,
    onClosed: (producer: Producer) => void,
  ): Producer {
    const producer = new Producer(plan, context, onClosed);
    producer.#engine.start();
    return producer;
  }

  /** Calls `listener` for each event of that name from now on. */
  on<Name extends keyof ProducerEvents>(
    name: Name,
    listener: (event: ProducerEvents[Name]) => void,
  ): Unlisten {
    return this.#events.on(name, listener);
  }

  /** Bytes of records taken and not answered. */
  get bufferedBytes(): number {
    return this.#engine.room.usedBytes;
  }

  /**
   * Publishes one record; resolves when it is stored as `acks` says. Waits for room first where the buffer is full; the bytes
   * must not change until it has been taken, which is at once while `bufferedBytes` is below `bufferBytes`.
   *
   * @throws TIMEOUT after `deliveryTimeoutMs`; TOPIC_NOT_FOUND, FORBIDDEN, RECORD_TOO_LARGE and whatever else the broker answers;
   *   CLOSED when the producer is closed
   */
  send(record: RecordToSend): Promise<SendResult> {
    return new Promise((resolve, reject) => {
      this.#checkOpen();
      const delivery: Delivery = { index: 0, resolve, reject };
      if (this.#roomNow) {
        this.#take(record, delivery);
        return;
      }
      this.#waiting.push({ record, delivery });
      if (this.#waiting.length === 1) this.#takeWaiting();
    });
  }

  /** {@link send} with an address `topic/key` (or only a topic) and a value. */
  publish(
    address: string,
    value: RecordToSend['value'],
    options: Omit<RecordToSend, 'topic' | 'key' | 'value'> = {},
  ): Promise<SendResult> {
    return this.send({ ...splitAddress(address), value, ...options });
  }

  /**
   * Takes a record without a promise of its own: the fast path. What cannot be stored is told by the `rejected` event and by the
   * next {@link flush}.
   *
   * @returns false when there is no room: the record was not taken; await {@link ready} and offer it again
   * @throws CLOSED; RECORD_TOO_LARGE, KEY_TOO_LARGE, PARTITION_NOT_FOUND, INVALID_ARGUMENT for a record that cannot be
   */
  offer(record: RecordToSend): boolean {
    this.#checkOpen();
    if (!this.#roomNow) return false;
    this.#take(record, undefined);
    return true;
  }

  /** Resolves when there is room for more, or the producer is closed. */
  async ready(): Promise<void> {
    while (!this.#roomNow && this.#failed === undefined) await this.#engine.room.ready();
  }

  /**
   * Sends what waits and resolves when everything taken before this call is answered for.
   *
   * @throws the first error of records taken by {@link offer} that could not be stored since the last flush
   */
  async flush(): Promise<void> {
    while (this.#waiting.length > 0) await this.#engine.room.ready();
    await this.#engine.flush();
    const error = this.#unheardError;
    this.#unheardError = undefined;
    if (error !== undefined) throw error;
  }

  /** Takes nothing more, and ends after a {@link flush}. Idempotent. @throws what the flush throws */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Ends at once: what is not answered is rejected with `error`. Idempotent. */
  abort(
    error: SluiceError = new SluiceError('CLOSED', 'the producer was closed before the broker answered'),
  ): void {
    if (this.#failed !== undefined) return;
    this.#failed = error;
    this.#engine.close(error);
    for (const { delivery } of this.#waiting.splice(0)) delivery.reject(error);
    this.#onClosed(this);
  }

  async #close(): Promise<void> {
    try {
      if (this.#failed === undefined) await this.flush();
    } finally {
      this.abort(new SluiceError('CLOSED', 'the producer is closed'));
    }
  }

  get #roomNow(): boolean {
    return this.#waiting.length === 0 && this.#engine.room.available;
  }

  #checkOpen(): void {
    if (this.#failed !== undefined) throw this.#failed;
    if (this.#closing !== undefined) throw new SluiceError('CLOSED', 'the producer is closing');
  }

  #take(record: RecordToSend, delivery: Delivery | undefined): void {
    const key = toBytes(record.key ?? null);
    const value = toBytes(record.value);
    const nowMs = this.#clock.now();
    const given = record.headers === undefined ? NO_HEADERS : toHeaders(record.headers);
    const headers = withDeliveryTimes(given, record, nowMs);
    const limits = this.#engine.session?.limits ?? DEFAULT_LIMITS;
    if (key !== null && key.length > limits.maxKeyBytes)
      throw tooLarge('key', key.length, limits.maxKeyBytes);
    const bytes = BATCH_HEADER_BYTES + recordBytesAtMost(key, value, headers);
    if (bytes > limits.maxBatchBytes) throw tooLarge('record', bytes, limits.maxBatchBytes);
    this.#engine.append(record.topic, {
      key,
      value,
      headers,
      timestampMs: record.timestampMs ?? nowMs,
      partition: record.partition,
      delivery,
    });
  }

  #takeWaiting(): void {
    void this.#engine.room.ready().then(() => {
      while (this.#waiting.length > 0 && this.#failed === undefined && this.#engine.room.available) {
        const { record, delivery } = this.#waiting.shift()!;
        try {
          this.#take(record, delivery);
        } catch (error) {
          delivery.reject(asSluiceError(error));
        }
      }
      if (this.#waiting.length > 0) this.#takeWaiting();
    });
  }
}
