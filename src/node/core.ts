import { join } from 'node:path';
import { Broker } from '../broker/broker.ts';
import type { Settings } from '../config/settings.ts';
import type { Coordinator } from '../coordination/coordinator.ts';
import { NativeGateway } from '../gateway/quic/gateway.ts';
import { SecurityLog } from '../gateway/security-log.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Random } from '../kernel/random.ts';
import type { DiskShared } from '../log/disk/disk-shared.ts';
import { createDiskShared } from '../log/disk/disk-shared.ts';
import { nodeFileSystem } from '../log/disk/node-file-system.ts';
import { MemoryBudget } from '../log/memory-budget.ts';
import { Observers } from '../observers/observers.ts';
import { newPartitionCounters } from '../partition/reader-source.ts';
import { DiskLogs } from '../replicas/disk-logs.ts';
import type { ReplicaLogs } from '../replicas/replica-logs.ts';
import { memoryAndDiskReplicaLogs, memoryReplicaLogs } from '../replicas/replica-logs.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Listener } from '../transport/transport.ts';
import { createAuthenticator, createAuthorizer } from './access.ts';
import { CertificateRotation } from './certificate-rotation.ts';
import { createClusterControl } from './cluster-control.ts';
import type { ClusterHealth } from './cluster-health.ts';
import { openCoordination } from './coordination.ts';
import {
  diskLimits,
  gatewayLimits,
  memoryLogBytes,
  queueBatchBytes,
  queueStateBytes,
  topicDefaults,
} from './derived-limits.ts';
import { coordinatorObserver } from './coordinator-log.ts';
import { HeldReplication } from './held-replication.ts';
import { LimitedLog } from './limited-log.ts';
import type { Self } from './members.ts';
import { clientNodes } from './members.ts';
import { nodeUrls } from './node-urls.ts';
import { Peers } from './peers.ts';
import { replicaObserver } from './replica-log.ts';
import { diskObserver, topicObserver } from './storage-log.ts';
import { software } from './version.ts';

/** The machine, or what a test has instead. */
export interface CorePorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** What is built before listeners can be opened. */
export interface Core extends CorePorts {
  readonly settings: Settings;
  readonly coordinator: Coordinator;
  /** Undefined on a node on its own. */
  readonly health: ClusterHealth | undefined;
  /** Undefined on a node on its own. */
  readonly peers: Peers | undefined;
  /** From other nodes, held until this one has started; undefined on a node on its own. */
  readonly replication: HeldReplication | undefined;
  readonly self: Self;
  readonly broker: Broker;
  readonly gateway: NativeGateway;
  readonly security: SecurityLog;
  readonly certificates: CertificateRotation;
  readonly disk: DiskShared;
  /** Undefined on a node on its own. */
  readonly observers: Observers | undefined;
  /** Also read while it is being filled: WELCOME names what listens. */
  readonly listeners: Map<string, Listener>;
  /** What else shows the node's certificate. */
  readonly secured: Set<Pick<Listener, 'setIdentity'>>;
}

/** Builds everything that needs no listener, in order. @param parts what is to be taken apart again, the last first */
export async function buildCore(
  settings: Settings,
  ports: CorePorts,
  parts: AsyncDisposableStack,
): Promise<Core> {
  const { clock, log } = ports;
  const { coordinator, health } = await openCoordination(settings, ports, parts);
  const peers = await openPeers(settings, coordinator, ports, parts);
  const replication = peers && new HeldReplication(peers.client);
  const certificates = parts.use(await CertificateRotation.open(settings, ports));
  const security = new SecurityLog(log, clock);
  const disk = createDiskShared(nodeFileSystem, diskLimits(settings));
  const diskLogs = parts.use(
    await DiskLogs.open({
      directory: join(settings.dataDir, 'topics'),
      clock,
      clusterId: coordinator.clusterId,
      topics: coordinator.topics(),
      shared: disk,
      observer: diskObserver(log),
      segmentBytes: settings.storage.segmentBytes ?? undefined,
    }),
  );
  const memory = new MemoryBudget(memoryLogBytes(settings));
  const logs = memoryAndDiskReplicaLogs(memoryReplicaLogs(clock, memory), diskLogs);
  const { broker, observers } = await openBroker(
    settings,
    { ...ports, coordinator, health, peers, replication, logs, security },
    parts,
  );
  const listeners = new Map<string, Listener>();
  const { clusterId, nodeId, cluster } = coordinator;
  const zone = settings.cluster?.zone ?? '';
  const self: Self = { nodeId, zone, urls: () => nodeUrls(listeners, settings) };
  const gateway = new NativeGateway({
    broker,
    clock,
    log,
    security,
    limits: gatewayLimits(settings),
    node: { nodeId, clusterId, software: software(), nodes: () => clientNodes(self, cluster) },
  });
  return {
    ...{ settings, ...ports, coordinator, health, peers, replication, self },
    ...{ broker, gateway, security, certificates, disk, listeners, observers },
    secured: new Set(),
  };
}

interface BrokerPorts extends CorePorts, Pick<Core, 'coordinator' | 'health' | 'peers' | 'replication'> {
  readonly logs: ReplicaLogs;
  readonly security: SecurityLog;
}

/** In a cluster with copies of partitions that this node is no replica of, as its subscribers need them. */
async function openBroker(
  settings: Settings,
  { clock, random, log, coordinator, health, peers, replication, logs, security }: BrokerPorts,
  parts: AsyncDisposableStack,
): Promise<Pick<Core, 'broker' | 'observers'>> {
  const counters = newPartitionCounters();
  const { inflatedMaxBytes } = settings.limits;
  const zone = settings.cluster?.zone ?? '';
  const shared = { coordinator, clock, random, counters, inflatedMaxBytes };
  const observers = peers && new Observers({ ...shared, reader: peers.client, zone });
  parts.defer(() => observers?.close());
  const broker = parts.use(
    await Broker.open({
      ...shared,
      authorizer: createAuthorizer(settings, security),
      authenticator: createAuthenticator(settings, coordinator.tokens, clock),
      logs,
      topics: topicDefaults(settings),
      observer: topicObserver(log),
      replicaObserver: health && replicaObserver(new LimitedLog(log, clock)),
      client: replication,
      others: peers?.client,
      copies: observers,
      control: health && createClusterControl(coordinator.cluster, log),
      groups: {
        storage: settings.groups,
        maxQueuePartitions: settings.groups.maxQueuePartitions,
        maxQueueStateBytes: queueStateBytes(settings),
        maxQueueBatchBytes: queueBatchBytes(),
        observer: coordinatorObserver(new LimitedLog(log, clock)),
      },
    }),
  );
  return { broker, observers };
}

async function openPeers(
  { cluster, dataDir }: Settings,
  coordinator: Coordinator,
  ports: CorePorts,
  parts: AsyncDisposableStack,
): Promise<Peers | undefined> {
  if (cluster === null) return undefined;
  const { nodeId } = coordinator;
  return parts.use(
    await Peers.open({ settings: cluster, nodeId, dataDir, cluster: coordinator.cluster, ...ports }),
  );
}
