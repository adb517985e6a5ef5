import { SluiceError, asSluiceError } from '../kernel/errors.ts';
import type { FetchSessionParts } from '../partition/fetch-session.ts';
import type { AppendOutcome, Partition } from '../partition/partition.ts';
import type { ForwardCallback, ForwardTarget, ForwardedPublish } from './ports.ts';

/** What other nodes have handed over; plain counts for metrics. */
export interface ReceivedCounters {
  publishes: number;
  /** Of their batches, stored or not. */
  bytes: number;
  /** Those that were answered with an error, now or later. */
  refused: number;
}

/**
 * Takes the publishes that other nodes hand over into the partitions that are led here. A batch is checked as one of an own client is: the other node passes on
 * what its client has sent.
 */
export class LedForwards implements ForwardTarget {
  readonly counters: ReceivedCounters = { publishes: 0, bytes: 0, refused: 0 };
  readonly #find: FetchSessionParts['find'];

  constructor(find: FetchSessionParts['find']) {
    this.#find = find;
  }

  forward(publish: ForwardedPublish, done: ForwardCallback): void {
    const { batch, acks } = publish;
    this.counters.publishes++;
    this.counters.bytes += batch.length;
    let partition: Partition | undefined;
    let stored: AppendOutcome;
    try {
      partition = this.#leaderOf(publish);
      stored = partition.append(batch, acks);
    } catch (error) {
      if (partition) partition.whenCertain(asSluiceError(error), (certain) => this.#refuse(certain, done));
      else this.#refuse(error, done);
      return;
    }
    const { kind, baseOffset, nextOffset, appendTimeMs } = stored;
    partition.whenAcknowledged(nextOffset, acks, (error) => {
      if (error) this.#refuse(error, done);
      else done({ kind, baseOffset, appendTimeMs });
    });
  }

  /** In another epoch than the sender's this node may be somebody else's successor: then the sender has to look again. @throws NOT_LEADER */
  #leaderOf({ topicId, partition: index, leaderEpoch }: ForwardedPublish): Partition {
    const partition = this.#find(topicId, index);
    if (partition?.role === 'leader' && partition.leaderEpoch === leaderEpoch) return partition;
    throw new SluiceError(
      'NOT_LEADER',
      `this node does not lead ${partition?.topic ?? topicId}/${index} in epoch ${leaderEpoch}`,
    );
  }

  #refuse(error: unknown, done: ForwardCallback): void {
    this.counters.refused++;
    done(asSluiceError(error));
  }
}
