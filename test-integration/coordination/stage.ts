import { Etcd3 } from 'etcd3';
import type { Campaign, Candidate, Cluster, NodeDescription } from '../../src/coordination/cluster.ts';
import type { NewTopic } from '../../src/coordination/coordinator.ts';
import type { EtcdCoordinatorOptions } from '../../src/coordination/etcd/etcd-coordinator.ts';
import { EtcdCoordinator } from '../../src/coordination/etcd/etcd-coordinator.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { systemClock } from '../../src/kernel/system-clock.ts';
import { topicSettings } from '../../test/support/topic-settings.ts';

export const LEASE_TTL_MS = 2000;

export const DESCRIPTION: NodeDescription = {
  clientUrls: ['quic://127.0.0.1:7450'],
  peerAddress: '127.0.0.1:7451',
  zone: 'a',
  capacity: 1,
  software: 'sluice/test',
  draining: false,
};

/** A topic like any other. */
export function newTopic(name: string, partitions = 2): NewTopic {
  return {
    name,
    partitions,
    settings: topicSettings({ retentionBytes: 1000, batchMaxBytes: 4096 }),
  };
}

let clusters = 0;

/** One cluster of its own in an etcd, with as many nodes as a test opens; they are closed with it, the last one first. */
export class ClusterStage implements AsyncDisposable {
  readonly name = `test-${clusters++}`;
  readonly prefix = `/sluice/${this.name}/`;
  /** As an administrator has it. */
  readonly admin: Etcd3;
  readonly ignored: string[] = [];
  readonly events: string[] = [];
  readonly #endpoint: string;
  readonly #stack = new AsyncDisposableStack();

  constructor(endpoint: string, admin: Etcd3 = new Etcd3({ hosts: endpoint })) {
    this.#endpoint = endpoint;
    this.admin = admin;
    this.#stack.defer(() => admin.close());
  }

  async open(nodeId: string, options: Partial<EtcdCoordinatorOptions> = {}): Promise<EtcdCoordinator> {
    const coordinator = await EtcdCoordinator.open({
      endpoints: [this.#endpoint],
      clusterName: this.name,
      nodeId,
      leaseTtlMs: LEASE_TTL_MS,
      description: DESCRIPTION,
      clock: systemClock,
      random: systemRandom,
      observer: {
        onIgnored: (key) => this.ignored.push(key),
        onStalled: () => this.events.push(`${nodeId} stalled`),
        onFlowing: (reread) => this.events.push(`${nodeId} ${reread ? 'reread' : 'flowing'}`),
      },
      ...options,
    });
    this.#stack.use(coordinator);
    return coordinator;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** A candidate that keeps what it is told. */
export class RecordingCandidate implements Candidate {
  /** Terms, and `lost`. */
  readonly told: (number | 'lost')[] = [];
  readonly campaign: Campaign;

  constructor(cluster: Cluster) {
    this.campaign = cluster.campaign(this);
  }

  /** That of the last election while nothing else was told. */
  get term(): number | undefined {
    const last = this.told.at(-1);
    return last === 'lost' ? undefined : last;
  }

  onElected(term: number): void {
    this.told.push(term);
  }

  onLost(): void {
    this.told.push('lost');
  }
}
