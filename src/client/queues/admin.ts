import type { BrowsedBatch } from '../../gen/sluice/client/v1/groups_pb.ts';
import { SettlementKind } from '../../gen/sluice/client/v1/groups_pb.ts';
import type { SluiceError } from '../../kernel/errors.ts';
import { INFLATED_MAX_BYTES } from '../../wire/codecs.ts';
import { decodeLeaseToken, leaseRange } from '../../wire/lease-token.ts';
import type { AskGroup } from '../group-requests.ts';
import { resultError } from '../group-requests.ts';
import type { ReceivedRecord } from '../record.ts';
import { wholeMs } from '../whole-ms.ts';
import { LeasedRecords } from './leased-records.ts';
import { DEFAULT_QUEUE_GROUP } from './options.ts';
import type { QueueDescription, QueueSettings, QueueSettingsChange, QueueSummary } from './views.ts';
import { queueFromWire, settingsFromWire, settingsToWire, summaryFromWire } from './views.ts';

/** A record of a queue that is not done. */
export interface BrowsedRecord {
  readonly record: ReceivedRecord;
  /** How often it was delivered. */
  readonly attempts: number;
}

/** A place in a queue's topic. */
export interface RecordPlace {
  readonly partition: number;
  readonly offset: number;
}

/** Which records, and of which queue. */
export interface RecordChoice {
  /** Default `default`. */
  readonly group?: string;
  /** Default: all that are not done and not leased. */
  readonly records?: readonly RecordPlace[];
}

/** What becomes of a leased record; see the calls of those names of a job. */
export type SettlementName = 'ack' | 'nack' | 'reject' | 'extend' | 'release';

/** How {@link QueueAdmin.settle} settles. */
export interface SettleOptions {
  /** Default `default`. */
  readonly group?: string;
  /** `nack`: until it is delivered again; `extend`: until the lease ends. Milliseconds. Default: as the queue is configured. */
  readonly delayMs?: number;
  /** `nack` and `reject`: for people, at most 1 KiB. */
  readonly reason?: string;
}

interface Range {
  readonly partition: number;
  readonly first: bigint;
  end: bigint;
}

/** Records of one request of {@link QueueAdmin.browse}. */
const PAGE_RECORDS = 1000;
/** Settlements of one request. */
const SETTLE_MAX = 500;
const KIND = {
  ack: SettlementKind.ACK,
  nack: SettlementKind.NACK,
  reject: SettlementKind.REJECT,
  extend: SettlementKind.EXTEND,
  release: SettlementKind.RELEASE,
} as const satisfies Record<SettlementName, SettlementKind>;
/** Moving and discarding many records takes its time, milliseconds. */
const LONG_MS = 600_000;

/**
 * Administration of queues: of what a group has to do with the records of a topic. Every call `@throws` FORBIDDEN without the right to it, and
 * TIMEOUT; after that and UNAVAILABLE a change may have been made or not.
 */
export class QueueAdmin {
  readonly #ask: AskGroup;

  constructor(ask: AskGroup) {
    this.#ask = ask;
  }

  /** The queues of topics that this principal may read. */
  async list(): Promise<readonly QueueSummary[]> {
    return (await this.#ask('listQueues', {})).queues.map(summaryFromWire);
  }

  /** @throws QUEUE_NOT_FOUND, TOPIC_NOT_FOUND */
  async describe(topic: string, group = DEFAULT_QUEUE_GROUP): Promise<QueueDescription> {
    return queueFromWire(await this.#ask('describeQueue', { topic, group }));
  }

  /** Makes a queue, or changes what is given. @returns how it is now @throws INVALID_ARGUMENT, TOPIC_NOT_FOUND */
  async configure(
    topic: string,
    settings: QueueSettingsChange,
    group = DEFAULT_QUEUE_GROUP,
  ): Promise<QueueSettings> {
    const request = { topic, group, settings: settingsToWire(settings) };
    return settingsFromWire((await this.#ask('configureQueue', request)).settings);
  }

  /** Forgets what is leased, done and waits; the records stay in the topic. @throws QUEUE_NOT_FOUND */
  async delete(topic: string, group = DEFAULT_QUEUE_GROUP): Promise<void> {
    await this.#ask('deleteQueue', { topic, group }, { again: false });
  }

  /**
   * Looks at the records that are not done, without leasing them.
   *
   * @param from where to begin in partitions; those that are not named begin at their first one
   * @throws QUEUE_NOT_FOUND; CORRUPT_BATCH, BATCH_TOO_LARGE for a batch that cannot be read
   */
  async *browse(
    topic: string,
    group = DEFAULT_QUEUE_GROUP,
    from: readonly RecordPlace[] = [],
  ): AsyncGenerator<BrowsedRecord, void, undefined> {
    let positions = from.map(({ partition, offset }) => ({ partition, offset: BigInt(offset) }));
    for (;;) {
      const request = { topic, group, positions, maxRecords: PAGE_RECORDS };
      const { batches, next } = await this.#ask('browseQueue', request);
      for (const batch of batches) yield* browsed(topic, batch);
      if (next.length === 0) return;
      positions = next.map(({ partition, offset }) => ({ partition, offset }));
    }
  }

  /**
   * Publishes records to another topic and acknowledges them here, in one step.
   *
   * @param destination undefined: the topic that each, a dead letter, came from
   * @returns how many @throws RECORD_NOT_FOUND, QUEUE_NOT_FOUND, TOPIC_NOT_FOUND, INVALID_ARGUMENT
   */
  async move(topic: string, destination: string | undefined, choice: RecordChoice = {}): Promise<number> {
    const { group = DEFAULT_QUEUE_GROUP, records } = choice;
    if (records?.length === 0) return 0; // to the broker that means all
    const request = { topic, group, ranges: rangesOf(records), destination: destination ?? '' };
    return Number((await this.#ask('moveRecords', request, { again: false, waitMs: LONG_MS })).moved);
  }

  /**
   * Settles records that somebody, not necessarily this client, has received, by the tokens of their leases.
   *
   * @returns for each token, in order: undefined when it is settled, else LEASE_EXPIRED or what else it was refused with. When an answer was
   *   lost on its way, a record that this very call has settled may be among those
   * @throws INVALID_ARGUMENT for what is no token, or no duration; QUEUE_NOT_FOUND, TOPIC_NOT_FOUND; TIMEOUT
   */
  async settle(
    topic: string,
    how: SettlementName,
    tokens: readonly string[],
    options: SettleOptions = {},
  ): Promise<readonly (SluiceError | undefined)[]> {
    const { group = DEFAULT_QUEUE_GROUP, delayMs, reason = '' } = options;
    const delay = delayMs === undefined ? {} : { delayMs: wholeMs('delayMs', delayMs) };
    const leases = tokens.map(decodeLeaseToken);
    const errors: (SluiceError | undefined)[] = [];
    for (let at = 0; at < leases.length; at += SETTLE_MAX) {
      const settlements = leases.slice(at, at + SETTLE_MAX).map((lease) => ({
        ...leaseRange(lease),
        ...{ kind: KIND[how], reason },
        ...delay,
      }));
      const { results } = await this.#ask('settle', { topic, group, settlements });
      errors.push(...results.map(resultError));
    }
    return errors;
  }

  /** Acknowledges records that nobody has leased. @returns how many @throws RECORD_NOT_FOUND, QUEUE_NOT_FOUND */
  async discard(topic: string, choice: RecordChoice = {}): Promise<number> {
    const { group = DEFAULT_QUEUE_GROUP, records } = choice;
    if (records?.length === 0) return 0;
    const request = { topic, group, ranges: rangesOf(records) };
    return Number((await this.#ask('discardRecords', request, { again: false, waitMs: LONG_MS })).discarded);
  }
}

function* browsed(topic: string, { partition, batch, records }: BrowsedBatch): Generator<BrowsedRecord> {
  const leased = { partition, batch, leases: records, grant: 0n, leaseMs: 0 };
  const found = new LeasedRecords(topic, leased, 0, INFLATED_MAX_BYTES);
  for (let record = found.next(ignore); record !== undefined; record = found.next(ignore)) {
    yield { record, attempts: found.attempt };
  }
}

function ignore(): void {
  // An offset without a record is nothing to show.
}

/** The places as ranges, neighbours together. */
function rangesOf(records: readonly RecordPlace[] = []): Range[] {
  const ranges: Range[] = [];
  const inOrder = [...records].sort((a, b) => a.partition - b.partition || a.offset - b.offset);
  for (const { partition, offset } of inOrder) {
    const last = ranges.at(-1);
    const first = BigInt(offset);
    if (last?.partition === partition && last.end >= first) last.end = first + 1n;
    else ranges.push({ partition, first, end: first + 1n });
  }
  return ranges;
}
