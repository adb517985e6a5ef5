import type { Cluster } from '../coordination/cluster.ts';
import type { EtcdObserver } from '../coordination/etcd/etcd-coordinator.ts';
import type { SluiceError } from '../kernel/errors.ts';
import type { Logger } from '../telemetry/logger.ts';

/** How a node gets on with its cluster: writes into the log what changes, counts for metrics, and says what is wrong now. */
export class ClusterHealth implements EtcdObserver {
  /** Times that nothing was heard of etcd. */
  stalls = 0;
  /** Times that the node stopped being a member before it left. */
  leasesLost = 0;
  /** Keys in etcd that were found unreadable. */
  ignoredKeys = 0;
  readonly #log: Logger;
  #isStalled = false;
  #isLeaving = false;
  #cluster: Pick<Cluster, 'leaseHeld'> | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** From now on members that come and go are told, and the lease. */
  watch(cluster: Pick<Cluster, 'leaseHeld' | 'onLeaseLost' | 'onLeaseGained' | 'watchNodes'>): void {
    this.#cluster = cluster;
    cluster.onLeaseLost((reason) => {
      this.leasesLost += 1;
      this.#log.warn('cluster.lease_lost', { reason });
    });
    cluster.onLeaseGained(() => this.#log.info('cluster.lease_gained'));
    cluster.watchNodes(({ kind, node }) => {
      if (kind !== 'altered')
        this.#log.info(`cluster.node_${kind}`, { member: node.nodeId, zone: node.zone });
    });
  }

  /** The node hands over what it leads. */
  leave(): void {
    this.#isLeaving = true;
  }

  onStalled(error: SluiceError): void {
    this.#isStalled = true;
    this.stalls += 1;
    this.#log.warn('cluster.etcd_lost', { error });
  }

  onFlowing(reread: boolean): void {
    this.#isStalled = false;
    this.#log.info('cluster.etcd_back', { reread });
  }

  readonly onIgnored = (key: string, fault: string): void => {
    this.ignoredKeys += 1;
    this.#log.error('cluster.key_ignored', { at: key, fault });
  };

  /** Why the node cannot do its work now, for people; empty: it can. */
  faults(): readonly string[] {
    const faults: string[] = [];
    if (this.#isLeaving) faults.push('the node hands over what it leads');
    if (this.#isStalled) faults.push('etcd cannot be reached');
    if (this.#cluster?.leaseHeld !== true)
      faults.push('the node has no lease: it is no member of the cluster');
    return faults;
  }
}
