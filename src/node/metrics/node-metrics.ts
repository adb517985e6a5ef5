import type { Broker } from '../../broker/broker.ts';
import type { Controller } from '../../controller/controller.ts';
import type { Coordinator } from '../../coordination/coordinator.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { ClusterHealth } from '../cluster-health.ts';
import { registerBroker } from './broker-metrics.ts';
import type { NodeCertificates } from './certificate-metrics.ts';
import { registerCertificates } from './certificate-metrics.ts';
import { registerCluster } from './cluster-metrics.ts';
import { registerController } from './controller-metrics.ts';
import type { DiskSources } from './disk-metrics.ts';
import { registerCompaction, registerDisk } from './disk-metrics.ts';
import type { GatewaySources } from './gateway-metrics.ts';
import { registerAuthentication, registerGateway, registerLag } from './gateway-metrics.ts';
import { registerGroups } from './group-metrics.ts';
import type { ObserverSources } from './observer-metrics.ts';
import { registerObservers } from './observer-metrics.ts';
import type { PeerSources } from './peer-metrics.ts';
import { registerPeers } from './peer-metrics.ts';
import type { ReplicaSources } from './replica-metrics.ts';
import { registerReplicas } from './replica-metrics.ts';

/** What metrics of a cluster are read from besides; a node on its own shows none of them. */
export interface ClusterSources
  extends PeerSources, Omit<ObserverSources, 'services'>, Pick<ReplicaSources, 'partitions' | 'insync'> {
  readonly health: ClusterHealth;
  readonly controller: Controller;
  readonly services: PeerSources['services'] & ObserverSources['services'];
}

/** What metrics are read from. */
export interface MetricSources extends DiskSources, GatewaySources {
  readonly broker: Broker;
  readonly certificates: NodeCertificates;
  readonly coordinator: Pick<Coordinator, 'nodeId' | 'cluster'>;
}

/** Registers everything a node shows; the values are read when somebody scrapes. @param cluster undefined on a node on its own */
export function registerNodeMetrics(
  metrics: Metrics,
  sources: MetricSources,
  cluster: ClusterSources | undefined,
): void {
  registerBroker(metrics, sources.broker);
  registerGroups(metrics, sources.broker);
  registerDisk(metrics, sources);
  registerCompaction(metrics, sources);
  registerGateway(metrics, sources);
  registerCertificates(metrics, sources.certificates);
  registerAuthentication(metrics, sources.gateway);
  registerLag(metrics, sources.gateway);
  if (!cluster) return;
  const { coordinator } = sources;
  registerCluster(metrics, coordinator, cluster.health);
  registerPeers(metrics, cluster);
  registerReplicas(metrics, { coordinator, ...cluster });
  registerObservers(metrics, { coordinator, ...cluster });
  registerController(metrics, cluster.controller);
}
