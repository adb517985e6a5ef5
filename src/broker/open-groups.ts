import type { Coordinator } from '../coordination/coordinator.ts';
import { NO_ASKER } from '../groups/api.ts';
import type { MakeGroupParts } from '../groups/coordinator.ts';
import type { CoordinatorObserver } from '../groups/coordinators.ts';
import { Coordinators } from '../groups/coordinators.ts';
import { makeGroupParts } from '../groups/make-parts.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Random } from '../kernel/random.ts';
import type { AccessControl } from './access-control.ts';
import type { GroupStorage } from './group-hosts.ts';
import { GroupHosts } from './group-hosts.ts';
import { GroupRights } from './group-rights.ts';
import { GroupRouter } from './group-router.ts';
import type { GroupTopicsParts } from './group-topics.ts';
import { GroupTopics } from './group-topics.ts';
import { Groups } from './groups.ts';
import type { OtherNodes } from './other-nodes.ts';
import type { TopicListeners } from './topics/topic-listeners.ts';
import { UntoldLeases } from './untold-leases.ts';

/** What a node on its own has unless somebody says otherwise. */
const ALONE: GroupStorage = { partitions: 16, replicationFactor: 1, minInsync: 1 };

const MAX_QUEUE_PARTITIONS = 20_000;
const MAX_QUEUE_STATE_BYTES = 512 * 1024 * 1024;
const MAX_QUEUE_BATCH_BYTES = 256 * 1024 * 1024;

/** How consumer groups and queues are kept and watched. */
export interface BrokerGroupOptions {
  /** How much of the topic `__groups` there is, when it is made. Default: 16 partitions, one copy. */
  readonly storage?: GroupStorage;
  /** Partitions that the queues of a node may hold before no new queue is made. Default 20,000. */
  readonly maxQueuePartitions?: number;
  /** What the states of the queues of a node may take in memory. Default 512 MiB. */
  readonly maxQueueStateBytes?: number;
  /** Batches that the queues of a node may have at hand. Default 256 MiB. */
  readonly maxQueueBatchBytes?: number;
  /** Default: those there are. */
  readonly makeParts?: MakeGroupParts;
  readonly observer?: Partial<CoordinatorObserver> | undefined;
}

/** What consumer groups and queues are made of. */
export interface GroupsOfBroker extends Omit<GroupTopicsParts, 'coordinator' | 'clock'> {
  readonly options: {
    readonly coordinator: Coordinator;
    readonly clock: Clock;
    readonly random: Random;
    readonly others?: OtherNodes | undefined;
    readonly groups?: BrokerGroupOptions | undefined;
  };
  readonly access: AccessControl;
  readonly listeners: TopicListeners;
}

/** Has this node coordinate what it leads of `__groups` from now on. */
export function openGroups({ options, access, listeners, ...parts }: GroupsOfBroker): Groups {
  const { coordinator, clock, random, others, groups = {} } = options;
  const { storage = ALONE, makeParts = makeGroupParts, observer } = groups;
  const { maxQueuePartitions = MAX_QUEUE_PARTITIONS, maxQueueStateBytes = MAX_QUEUE_STATE_BYTES } = groups;
  const { maxQueueBatchBytes = MAX_QUEUE_BATCH_BYTES } = groups;
  const { directory } = parts;
  const topics = new GroupTopics({ ...parts, coordinator, clock });
  const untold = new UntoldLeases({
    ...{ clock, random },
    ask: (partition, request, signal) =>
      router.askCoordinator(partition, request, { asker: NO_ASKER, signal }),
  });
  const coordinators = new Coordinators({
    releaseUntold: (partition, release) => untold.release(partition, release),
    ...{ topics, clock, random, makeParts, observer, maxQueuePartitions, maxQueueStateBytes },
    maxQueueBatchBytes,
    nodeId: coordinator.nodeId,
  });
  const hosts = new GroupHosts({ directory, coordinators, clock, storage });
  listeners.add(hosts);
  const rights = new GroupRights(access, () => directory.all());
  const router = new GroupRouter({ hosts, coordinators, others, clock });
  return new Groups(rights, router, untold);
}
