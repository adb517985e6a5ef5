import { asSluiceError, SluiceError } from '../../kernel/errors.ts';
import { recordBytesAtMost } from '../../wire/record-batch-encoder.ts';
import { Backoff } from '../../kernel/backoff.ts';
import { withDeadline } from '../deadline.ts';
import type { ClientPorts } from '../ports.ts';
import type { SendRoom } from './send-room.ts';
import type { TopicDirectory, TopicShape } from '../topic-directory.ts';
import type { EncodedRecord } from './topic-lane.ts';

/** What becomes of records whose topic was not known. */
export interface PendingHost {
  readonly ports: ClientPorts;
  readonly room: SendRoom;
  readonly deliveryTimeoutMs: number;
  /** The topic is known: its records come right after, in order. */
  opened(topic: string, shape: TopicShape): void;
  /** One record of an opened topic. */
  append(topic: string, record: EncodedRecord): void;
  /** The topic is refused; `unheard` records had nobody who waits for them. */
  refused(topic: string, error: SluiceError, unheard: number): void;
}

interface PendingTopic {
  readonly records: EncodedRecord[];
  bytes: number;
  readonly settled: Promise<void>;
}

/** Records of topics whose partitions are not known yet; they wait in order and count as room. */
export class PendingTopics {
  readonly #host: PendingHost;
  readonly #directory: TopicDirectory;
  readonly #topics = new Map<string, PendingTopic>();
  #closed: SluiceError | undefined;

  constructor(host: PendingHost, directory: TopicDirectory) {
    this.#host = host;
    this.#directory = directory;
  }

  /** Keeps a record, copying its bytes, until the broker has said how many partitions the topic has. */
  add(topic: string, record: EncodedRecord): void {
    let pending = this.#topics.get(topic);
    if (pending === undefined) {
      pending = { records: [], bytes: 0, settled: this.#resolve(topic) };
      this.#topics.set(topic, pending);
    }
    const bytes = recordBytesAtMost(record.key, record.value, record.headers);
    pending.bytes += bytes;
    this.#host.room.take(bytes);
    pending.records.push({
      ...record,
      key: copy(record.key),
      value: copy(record.value),
      headers: record.headers.map(({ key, value }) => ({ key, value: copy(value) })),
    });
  }

  /** Resolves when all topics that are pending now are known or refused. */
  async settled(): Promise<void> {
    await Promise.all([...this.#topics.values()].map(({ settled }) => settled));
  }

  /** Refuses everything. */
  close(error: SluiceError): void {
    this.#closed = error;
    for (const topic of [...this.#topics.keys()]) this.#refuse(topic, error);
  }

  async #resolve(topic: string): Promise<void> {
    const { clock, random } = this.#host.ports;
    const backoff = new Backoff({ minMs: 50, maxMs: 2000 }, random);
    const deadlineMs = clock.monotonicMs() + this.#host.deliveryTimeoutMs;
    let refusal: SluiceError | undefined;
    const expired = new SluiceError('TIMEOUT', 'time is up');
    while (this.#closed === undefined) {
      try {
        const leftMs = Math.max(0, deadlineMs - clock.monotonicMs());
        const shape = await withDeadline(clock, leftMs, this.#directory.shapeOf(topic), () => expired);
        this.#open(topic, shape);
        return;
      } catch (error) {
        const known = asSluiceError(error);
        if (known !== expired) refusal = known;
        const isOver = clock.monotonicMs() >= deadlineMs;
        if (isOver || !known.retryable) {
          this.#refuse(topic, known.retryable ? tookTooLong(topic, refusal) : known);
          return;
        }
      }
      await new Promise<void>((resolve) => void clock.setTimer(backoff.nextMs(), resolve));
    }
  }

  #open(topic: string, shape: TopicShape): void {
    const pending = this.#topics.get(topic);
    if (pending === undefined) return;
    this.#topics.delete(topic);
    this.#host.room.free(pending.bytes);
    this.#host.opened(topic, shape);
    for (const record of pending.records) {
      try {
        this.#host.append(topic, record);
      } catch (error) {
        this.#reject(topic, record, asSluiceError(error));
      }
    }
  }

  #refuse(topic: string, error: SluiceError): void {
    const pending = this.#topics.get(topic);
    if (pending === undefined) return;
    this.#topics.delete(topic);
    this.#host.room.free(pending.bytes);
    for (const record of pending.records) this.#reject(topic, record, error);
  }

  #reject(topic: string, record: EncodedRecord, error: SluiceError): void {
    if (record.delivery === undefined) this.#host.refused(topic, error, 1);
    else record.delivery.reject(error);
  }
}

function copy(bytes: Uint8Array | null): Uint8Array | null {
  return bytes === null ? null : Buffer.from(bytes); // Buffer's own `slice` would be a view
}

function tookTooLong(topic: string, cause: SluiceError | undefined): SluiceError {
  const text = `no broker told of topic '${topic}' in time`;
  return cause === undefined
    ? new SluiceError('TIMEOUT', text)
    : new SluiceError('TIMEOUT', `${text}; the broker said ${cause.code}: ${cause.message}`, { cause });
}
