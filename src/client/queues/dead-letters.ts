import { SluiceError } from '../../kernel/errors.ts';
import type { ReceivedRecord } from '../record.ts';
import type { BrowsedRecord, QueueAdmin, RecordPlace } from './admin.ts';
import { recordJson } from '../../wire/record-json.ts';

/** A record that was given up, and why. */
export interface DeadLetter extends RecordPlace {
  /** As it lies in the dead-letter topic: key, value and headers of the original, and headers `sluice-dlq-…`. */
  readonly record: ReceivedRecord;
  /** `max-attempts` or `rejected`; empty: it is no dead letter. */
  readonly reason: string;
  /** What its consumer said; may be empty. */
  readonly text: string;
  /** How often it was delivered. */
  readonly attempts: number;
  /** Group whose consumers had it. */
  readonly group: string;
  /** Where it came from; undefined: its headers do not say. */
  readonly origin: (RecordPlace & { readonly topic: string }) | undefined;
  /** When it was given up, milliseconds since 1970; undefined: its headers do not say. */
  readonly atMs: number | undefined;
}

/** Prefix of the topic that takes the dead letters of another. */
const DEAD_LETTER_PREFIX = 'dlq.';
const HEADER = 'sluice-dlq-';

/** The dead letters of one topic. They lie in a topic of their own, as a queue. Calls throw as those of {@link QueueAdmin}. */
export class DeadLetters {
  /** Where they lie. */
  readonly topic: string;
  readonly #queues: QueueAdmin;

  /** @param topic the topic they came from, or one that begins with `dlq.` */
  constructor(queues: QueueAdmin, topic: string) {
    this.#queues = queues;
    this.topic = topic.startsWith(DEAD_LETTER_PREFIX) ? topic : DEAD_LETTER_PREFIX + topic;
  }

  /** The first ones of each partition, up to `max`. @param options `max` default 100 */
  async list(options: { readonly max?: number } = {}): Promise<readonly DeadLetter[]> {
    const { max = 100 } = options;
    const found: DeadLetter[] = [];
    if (max <= 0) return found;
    for await (const letter of this.all()) if (found.push(letter) >= max) break;
    return found;
  }

  /** All of them, page by page; none where there is no dead-letter topic. */
  async *all(): AsyncGenerator<DeadLetter, void, undefined> {
    try {
      for await (const browsed of this.#queues.browse(this.topic)) yield letterOf(browsed);
    } catch (error) {
      if (!isNone(error)) throw error;
    }
  }

  /** One of them. @throws RECORD_NOT_FOUND when there is none at that place, or it is done */
  async peek({ partition, offset }: RecordPlace): Promise<DeadLetter> {
    const from = await this.#onlyAt({ partition, offset });
    for await (const browsed of this.#queues.browse(this.topic, undefined, from)) {
      const { record } = browsed;
      if (record.partition === partition && record.offset === offset) return letterOf(browsed);
      if (record.partition === partition) break;
    }
    throw new SluiceError(
      'RECORD_NOT_FOUND',
      `${this.topic}/${partition} offset ${offset} is no dead letter now`,
    );
  }

  /**
   * Publishes dead letters to where they came from, without the headers `sluice-dlq-…`, each exactly once.
   *
   * @param records default: all
   * @param options `destination`: to that topic instead
   * @returns how many
   */
  replay(records?: readonly RecordPlace[], options: { readonly destination?: string } = {}): Promise<number> {
    return this.#queues.move(this.topic, options.destination, records === undefined ? {} : { records });
  }

  /** Forgets these. @returns how many */
  delete(records: readonly RecordPlace[]): Promise<number> {
    return this.#queues.discard(this.topic, { records });
  }

  /** Forgets all. @returns how many */
  purge(): Promise<number> {
    return this.#queues.discard(this.topic);
  }

  /** All of them as NDJSON: one JSON text each, with its line end. */
  async *export(): AsyncGenerator<string, void, undefined> {
    for await (const { record } of this.all()) yield `${recordJson(record, record, 'auto')}\n`;
  }

  /** Where to begin in each partition, to come to that place before anything else. */
  async #onlyAt(place: RecordPlace): Promise<readonly RecordPlace[]> {
    try {
      const { partitions } = await this.#queues.describe(this.topic);
      return partitions.map(({ partition, end }) =>
        partition === place.partition ? place : { partition, offset: end },
      );
    } catch (error) {
      // Nobody has looked at these dead letters yet: looking makes the queue.
      if (error instanceof SluiceError && error.code === 'QUEUE_NOT_FOUND') return [place];
      throw error;
    }
  }
}

function letterOf({ record }: BrowsedRecord): DeadLetter {
  const text = (name: string): string => record.header(HEADER + name)?.toString('utf8') ?? '';
  const topic = text('topic');
  return {
    record,
    partition: record.partition,
    offset: record.offset,
    reason: text('reason'),
    text: text('text'),
    attempts: Number(text('attempts')) || 0,
    group: text('group'),
    origin:
      topic === ''
        ? undefined
        : { topic, partition: Number(text('partition')), offset: Number(text('offset')) },
    atMs: Number(text('time')) || undefined,
  };
}

/** Without a dead letter there is no topic for them. */
function isNone(error: unknown): boolean {
  return (
    error instanceof SluiceError && (error.code === 'TOPIC_NOT_FOUND' || error.code === 'QUEUE_NOT_FOUND')
  );
}
