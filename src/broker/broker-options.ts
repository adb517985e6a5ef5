import type { Coordinator } from '../coordination/coordinator.ts';
import type { Clock } from '../kernel/clock.ts';
import type { ErrorCode } from '../kernel/errors.ts';
import type { Random } from '../kernel/random.ts';
import type { PartitionCounters } from '../partition/reader-source.ts';
import type { ReplicationClient } from '../partition/replication.ts';
import type { ReplicaLogs } from '../replicas/replica-logs.ts';
import type { ReplicaObserver } from '../replicas/replica-observer.ts';
import type { TopicObserver } from './topics/failed-topics.ts';
import type { BrokerGroupOptions } from './open-groups.ts';
import type { OtherNodes } from './other-nodes.ts';
import type { Authenticator, Authorizer, ClusterControl, Copies } from './ports.ts';
import type { TopicDefaults } from './views.ts';

/** What the broker counts. Plain fields: metrics read them on scrape. Bytes out are counted by the gateways. */
export interface BrokerCounters extends PartitionCounters {
  readonly refusedPublishes: Readonly<Partial<Record<ErrorCode, number>>>;
}

/** What a broker is made of. */
export interface BrokerOptions {
  /** Stays the caller's to dispose of, after the broker. */
  readonly coordinator: Coordinator;
  readonly clock: Clock;
  readonly random: Random;
  readonly authorizer: Authorizer;
  readonly authenticator: Authenticator;
  readonly logs: ReplicaLogs;
  readonly topics: TopicDefaults;
  /** Bound for what a batch may inflate to where records are looked at. */
  readonly inflatedMaxBytes: number;
  /** Told of topics that cannot be opened or removed. */
  readonly observer?: TopicObserver;
  /** Told how the replicas of this node fare, besides. */
  readonly replicaObserver?: Partial<ReplicaObserver> | undefined;
  /** How what others lead is fetched; left out on a node on its own. */
  readonly client?: ReplicationClient | undefined;
  /** Who leads what this node does not; left out on a node on its own. */
  readonly others?: OtherNodes | undefined;
  /** Copies of partitions that this node is no replica of; without it they cannot be read here. */
  readonly copies?: Copies | undefined;
  /** What all copies count, for who has others besides; default: those of the replicas only. */
  readonly counters?: PartitionCounters | undefined;
  /** See `ReplicasOptions`. */
  readonly maxLagMs?: number | undefined;
  /** See `ReplicasOptions`. */
  readonly catchUpBytesPerSecond?: number | undefined;
  /** What may be asked of the cluster; left out on a node on its own. */
  readonly control?: ClusterControl | undefined;
  /** Consumer groups and queues. */
  readonly groups?: BrokerGroupOptions | undefined;
}
