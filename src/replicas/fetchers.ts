import { SluiceError } from '../kernel/errors.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Random } from '../kernel/random.ts';
import { ByteRate } from '../partition/byte-rate.ts';
import type { FetcherObserver, FollowTarget, Following } from '../partition/fetcher.ts';
import { Fetcher } from '../partition/fetcher.ts';
import type { ReplicationClient } from '../partition/replication.ts';

/** What fetchers need. */
export interface FetchersOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Undefined: this node is on its own, and follows nobody. */
  readonly client: ReplicationClient | undefined;
  /** Bytes in a second that all partitions that are not in sync fetch together; undefined: no bound. */
  readonly catchUpBytesPerSecond?: number | undefined;
  /** Bytes that were fetched from one node and are not durable yet. Default 16 MiB. */
  readonly maxPendingBytes?: number | undefined;
  readonly observer?: Partial<FetcherObserver> | undefined;
}

/** One fetcher for each node that this one follows partitions on. */
export class Fetchers {
  readonly #options: FetchersOptions;
  readonly #catchUpRate: ByteRate | undefined;
  readonly #byLeader = new Map<string, Fetcher>();

  constructor(options: FetchersOptions) {
    this.#options = options;
    const { clock, catchUpBytesPerSecond } = options;
    this.#catchUpRate = catchUpBytesPerSecond ? new ByteRate(clock, catchUpBytesPerSecond) : undefined;
  }

  /** Begins to follow a partition on a node. @throws UNSUPPORTED without a client */
  follow(leaderId: string, target: FollowTarget): Following {
    const { client, clock, random, maxPendingBytes, observer } = this.#options;
    if (!client) throw new SluiceError('UNSUPPORTED', 'a node on its own follows nobody');
    let fetcher = this.#byLeader.get(leaderId);
    if (!fetcher) {
      const catchUpRate = this.#catchUpRate;
      fetcher = new Fetcher({ leaderId, client, clock, random, maxPendingBytes, catchUpRate, observer });
      this.#byLeader.set(leaderId, fetcher);
    }
    return fetcher.follow(target);
  }

  close(): void {
    for (const fetcher of this.#byLeader.values()) fetcher.close();
  }
}
