import type { Acks, PublishOutcome } from '../../broker/broker.ts';
import type { Principal } from '../../broker/ports.ts';
import type { Clock } from '../../kernel/clock.ts';
import { SluiceError, asSluiceError } from '../../kernel/errors.ts';
import { RecordBatchEncoder, recordBytesAtMost } from '../../wire/record-batch-encoder.ts';
import type { NewRecord } from './new-record.ts';
import type { MessageBroker } from './ports.ts';
import { principalKey } from '../principal-key.ts';
import { TurnGatherer } from './turn-gatherer.ts';

/** Records of one batch; more begin another. */
const BATCH_MAX_RECORDS = 1_000;
/** Bytes of a batch of several records; a larger record is a batch of its own. */
const BATCH_MAX_BYTES = 64 * 1024;

/** Where records go, and when a publish is answered. */
export interface PublishRoute {
  readonly principal: Principal;
  readonly topic: string;
  /** Undefined: by the hash of the key, in turn where there is none. */
  readonly partition: number | undefined;
  readonly acks: Acks;
}

/** A record that is stored. */
export interface Published {
  readonly partition: number;
  readonly offset: number;
}

interface Waiting {
  readonly route: PublishRoute;
  readonly record: NewRecord;
  readonly done: (outcome: Published | SluiceError) => void;
}

/**
 * Publishes single records: those that come within one turn and go to one place make one batch. Which partition a key belongs to is the
 * broker's to say, by the first key of a batch: so keyed records share a batch only with their own key.
 */
export class RecordPublisher {
  readonly #broker: Pick<MessageBroker, 'publish'>;
  readonly #clock: Clock;
  readonly #encoder = new RecordBatchEncoder();
  readonly #gatherer: TurnGatherer<Waiting>;

  constructor(broker: Pick<MessageBroker, 'publish'>, clock: Clock) {
    this.#broker = broker;
    this.#clock = clock;
    this.#gatherer = new TurnGatherer((waiting) => this.#publishAll(waiting));
  }

  /** @returns where it is stored @throws what `Broker.publish` answers */
  publish(route: PublishRoute, record: NewRecord): Promise<Published> {
    return new Promise((resolve, reject: (error: SluiceError) => void) => {
      const done = (outcome: Published | SluiceError): void => {
        if (outcome instanceof SluiceError) reject(outcome);
        else resolve(outcome);
      };
      this.#gatherer.add(placeOf(route, record), { route, record, done });
    });
  }

  #publishAll(waiting: readonly Waiting[]): void {
    let batch: Waiting[] = [];
    let bytes = 0;
    for (const one of waiting) {
      const { key, value, headers } = one.record;
      const more = recordBytesAtMost(key, value, headers);
      if (batch.length > 0 && (batch.length === BATCH_MAX_RECORDS || bytes + more > BATCH_MAX_BYTES)) {
        this.#publishBatch(batch);
        batch = [];
        bytes = 0;
      }
      batch.push(one);
      bytes += more;
    }
    this.#publishBatch(batch);
  }

  #publishBatch(waiting: readonly Waiting[]): void {
    const { principal, topic, partition, acks } = waiting[0]!.route;
    let batch: Buffer;
    try {
      batch = this.#encode(waiting);
    } catch (error) {
      this.#encoder.clear();
      for (const { done } of waiting) done(asSluiceError(error));
      return;
    }
    this.#broker.publish(principal, topic, partition, batch, acks, (outcome) =>
      this.#answer(waiting, outcome),
    );
  }

  #answer(waiting: readonly Waiting[], outcome: PublishOutcome | SluiceError): void {
    if (!(outcome instanceof SluiceError)) {
      const { partition, baseOffset } = outcome;
      for (const [index, { done }] of waiting.entries()) done({ partition, offset: baseOffset + index });
    } else if (outcome.code === 'BATCH_TOO_LARGE' && waiting.length > 1) {
      // The topic takes less than is gathered here; none of them may be too large by itself.
      for (const one of waiting) this.#publishBatch([one]);
    } else {
      for (const { done } of waiting) done(outcome);
    }
  }

  #encode(waiting: readonly Waiting[]): Buffer {
    const nowMs = Math.floor(this.#clock.now());
    for (const { record } of waiting) this.#encoder.append(record.key, record.value, record.headers, nowMs);
    return this.#encoder.finish({ codec: 'none' });
  }
}

function placeOf({ principal, topic, partition, acks }: PublishRoute, { key }: NewRecord): string {
  const byKey = partition === undefined && key ? `k${Buffer.from(key).toString('latin1')}` : '';
  return `${principalKey(principal)}\0${topic}\0${partition ?? ''}\0${acks}\0${byKey}`;
}
