import { mkdir } from 'node:fs/promises';
import type { ClusterSettings } from '../config/cluster-settings.ts';
import type { Settings } from '../config/settings.ts';
import type { NodeDescription } from '../coordination/cluster.ts';
import type { Coordinator } from '../coordination/coordinator.ts';
import { DataDirLock } from '../coordination/embedded/data-dir-lock.ts';
import { EmbeddedCoordinator } from '../coordination/embedded/embedded.ts';
import type { EtcdAccess } from '../coordination/etcd/client-options.ts';
import { EtcdCoordinator } from '../coordination/etcd/etcd-coordinator.ts';
import { embeddedTopics } from '../coordination/embedded/topic-files.ts';
import type { Clock } from '../kernel/clock.ts';
import { SluiceError } from '../kernel/errors.ts';
import { quantity } from '../kernel/quantity.ts';
import type { Random } from '../kernel/random.ts';
import { storageError } from '../kernel/storage-error.ts';
import type { Logger } from '../telemetry/logger.ts';
import { ClusterHealth } from './cluster-health.ts';
import { readNamedFile } from './named-file.ts';
import { software } from './version.ts';

/** What a node and others agree through. */
export interface Coordination {
  readonly coordinator: Coordinator;
  /** How it gets on with the others; undefined on a node on its own. */
  readonly health: ClusterHealth | undefined;
}

/** What coordination takes. */
export interface CoordinationPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/**
 * Takes the data directory, and becomes a member of the cluster where one is configured.
 *
 * @param parts what is to be taken apart again, the last first
 * @throws DATA_DIR_LOCKED; INVALID_CONFIG when the data directory is that of a node on its own with topics, a file cannot be read, or
 *   the node's name is taken; what keeps etcd from being used; STORAGE_FAILED, STORAGE_FULL
 */
export async function openCoordination(
  settings: Settings,
  ports: CoordinationPorts,
  parts: AsyncDisposableStack,
): Promise<Coordination> {
  const { clock, random } = ports;
  const { dataDir, cluster } = settings;
  const nodeId = settings.node.id;
  if (cluster === null) {
    const coordinator = await EmbeddedCoordinator.open({ dataDir, clock, random, nodeId });
    return { coordinator: parts.use(coordinator), health: undefined };
  }
  await takeDirectory(dataDir, parts);
  const health = new ClusterHealth(ports.log);
  const coordinator = await EtcdCoordinator.open({
    ...(await readAccess(cluster.etcd)),
    clusterName: cluster.name,
    nodeId,
    leaseTtlMs: cluster.leaseTtlMs,
    description: descriptionAtFirst(cluster),
    clock,
    random,
    observer: health,
  });
  parts.use(coordinator);
  health.watch(coordinator.cluster);
  return { coordinator, health };
}

/** What a node says of itself before it listens. */
function descriptionAtFirst({ zone, capacity }: ClusterSettings): NodeDescription {
  return { clientUrls: [], peerAddress: null, zone, capacity, software: software(), draining: false };
}

/** A directory that already holds topics of a node on its own is left alone: in a cluster they would be there and never seen. */
async function takeDirectory(dataDir: string, parts: AsyncDisposableStack): Promise<void> {
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw storageError(cause, `cannot create ${dataDir}`);
  }
  parts.use(DataDirLock.take(dataDir));
  const topics = await embeddedTopics(dataDir);
  if (topics.length === 0) return;
  throw new SluiceError(
    'INVALID_CONFIG',
    `${dataDir} belongs to a node on its own, with ${quantity(topics.length, 'topic')} (${topics.slice(0, 3).join(', ')}): ` +
      'a node of a cluster needs a data directory of its own; copy records over with sluice sub and sluice pub',
  );
}

/** @throws INVALID_CONFIG */
async function readAccess(etcd: ClusterSettings['etcd']): Promise<EtcdAccess> {
  const { endpoints, caFile, certificateFiles, username, passwordFile } = etcd;
  return {
    endpoints,
    ...(caFile !== null && { caPem: await readNamedFile('cluster.etcd.ca', caFile) }),
    ...(certificateFiles !== null && {
      certificatePem: await readNamedFile('cluster.etcd.certificate', certificateFiles.certificate),
      keyPem: await readNamedFile('cluster.etcd.key', certificateFiles.key),
    }),
    ...(username !== null && { username }),
    ...(passwordFile !== null && {
      password: (await readNamedFile('cluster.etcd.passwordFile', passwordFile)).replace(/\r?\n$/, ''),
    }),
  };
}
