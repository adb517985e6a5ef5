import { SluiceError, asSluiceError } from '../kernel/errors.ts';
import type { FetchSessionParts } from '../partition/fetch-session.ts';
import type { AppendOutcome, Partition, PublishTaker } from '../partition/partition.ts';
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
export class LedForwards implements ForwardTarget, PublishTaker<ForwardCallback> {
  readonly counters: ReceivedCounters = { publishes: 0, bytes: 0, refused: 0 };
  readonly #find: FetchSessionParts['find'];

  constructor(find: FetchSessionParts['find']) {
    this.#find = find;
  }

  forward(publish: ForwardedPublish, done: ForwardCallback): void {
    const { batch, acks } = publish;
    this.counters.publishes++;
    this.counters.bytes += batch.length;
    let partition: Partition;
    try {
      partition = this.#leaderOf(publish);
    } catch (error) {
      this.refused(done, asSluiceError(error));
      return;
    }
    partition.publish(batch, acks, this, done);
  }

  stored(done: ForwardCallback, { kind, baseOffset, appendTimeMs }: AppendOutcome): void {
    done({ kind, baseOffset, appendTimeMs });
  }

  refused(done: ForwardCallback, error: SluiceError): void {
    this.counters.refused++;
    done(error);
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
}
