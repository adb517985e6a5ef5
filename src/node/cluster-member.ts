import type { Broker } from '../broker/broker.ts';
import { Controller } from '../controller/controller.ts';
import type { Coordinator } from '../coordination/coordinator.ts';
import type { Clock } from '../kernel/clock.ts';
import { LocalServices } from '../peer/local-services.ts';
import type { Observers } from '../observers/observers.ts';
import type { Logger } from '../telemetry/logger.ts';
import { controllerObserver } from './controller-log.ts';
import { InsyncWatch } from './insync-watch.ts';
import { LimitedLog } from './limited-log.ts';
import type { Self } from './members.ts';
import { farZoneOf } from './members.ts';
import type { Peers } from './peers.ts';
import { TopicNames } from './topic-names.ts';

/** What a member of a cluster is made of. */
export interface ClusterMemberOptions {
  readonly coordinator: Pick<Coordinator, 'nodeId' | 'topics' | 'watchTopics' | 'cluster'>;
  readonly broker: Pick<Broker, 'copy' | 'groups'>;
  readonly observers: Pick<Observers, 'relayed'>;
  readonly self: Pick<Self, 'zone'>;
  readonly peers: Pick<Peers, 'listen'>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What a node of a cluster does besides serving its clients: it serves the other nodes, and stands for controller. */
export interface ClusterMember {
  readonly services: LocalServices;
  readonly insync: InsyncWatch;
  readonly controller: Controller;
}

/**
 * Makes a node one of its cluster.
 *
 * @param announce tells the others where it is, once they can reach it
 * @param parts what is to be taken apart again, the last first: it is controller no more before other nodes are let go
 * @throws ADDRESS_IN_USE, INVALID_CONFIG, UNAVAILABLE, TIMEOUT
 */
export async function joinCluster(
  { coordinator, broker, observers, self, peers, clock, log }: ClusterMemberOptions,
  announce: () => Promise<void>,
  parts: AsyncDisposableStack,
): Promise<ClusterMember> {
  const services = new LocalServices(
    {
      clock,
      find: (topicId, index) => broker.copy(topicId, index),
      relayed: (topicId, index) => observers.relayed(topicId, index),
      farZoneOf: (nodeId) => farZoneOf(nodeId, self, coordinator.cluster),
    },
    broker.groups,
  );
  parts.defer(() => services.close());
  await peers.listen(services, parts);
  await announce();
  const names = parts.use(new TopicNames(coordinator));
  const limited = new LimitedLog(log, clock);
  const insync = parts.use(new InsyncWatch(coordinator.nodeId, coordinator.cluster, limited, names.of));
  const observer = controllerObserver(limited, names.of);
  const controller = parts.use(new Controller({ coordinator, clock, observer }));
  return { services, insync, controller };
}
