import { X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { Clock } from '../../kernel/clock.ts';
import { SluiceError } from '../../kernel/errors.ts';
import type { Random } from '../../kernel/random.ts';
import type { TokenStore } from '../../security/token.ts';
import type { Cluster, NodeDescription } from '../cluster.ts';
import type {
  Alter,
  Coordinator,
  NewTopic,
  PartitionClaim,
  TopicChange,
  TopicDefinition,
  Unwatch,
} from '../coordinator.ts';
import type { EtcdAccess } from './client-options.ts';
import type { ClusterIdentity } from './cluster-identity.ts';
import { openClusterIdentity } from './cluster-identity.ts';
import { EtcdCluster } from './etcd-cluster.ts';
import type { FeedObserver } from './feed.ts';
import { ViewFeed } from './feed.ts';
import { Keys } from './keys.ts';
import { Membership } from './membership.ts';
import { EtcdPartitions } from './partitions.ts';
import { EtcdProducerIds } from './producer-ids.ts';
import { EtcdStore } from './store.ts';
import { etcdTokens } from './tokens.ts';
import { EtcdTopics } from './topics.ts';
import type { IgnoredKey } from './view.ts';
import { View } from './view.ts';

/** What an etcd coordinator needs. */
export interface EtcdCoordinatorOptions extends EtcdAccess, EtcdNodeOptions {
  /** Longest wait for one answer of etcd, milliseconds. Default 1,000. */
  readonly callTimeoutMs?: number;
  /** Longest time a change takes with all its repetitions, milliseconds. Default 5,000. */
  readonly changeTimeoutMs?: number;
}

/** Which node of which cluster a coordinator is for. */
export interface EtcdNodeOptions {
  /** Names the keys: `/sluice/<clusterName>/`. 1 to 64 characters of `A-Z a-z 0-9 . _ -`. */
  readonly clusterName: string;
  /** Unique in the cluster. */
  readonly nodeId: string;
  /** Milliseconds, whole seconds, at least 2,000; etcd grants none shorter. Default 3,000. */
  readonly leaseTtlMs?: number;
  /** What this node says of itself at first. */
  readonly description: NodeDescription;
  /** Of the machine: waits are real, and gRPC compares deadlines with the wall clock. */
  readonly clock: Clock;
  readonly random: Random;
  readonly observer?: EtcdObserver;
}

/** Told how coordination fares; must not throw. */
export interface EtcdObserver extends FeedObserver {
  /** A key holds something unreadable and is passed over. */
  readonly onIgnored: IgnoredKey;
}

const LEASE_TTL_MS = 3000;
const CALL_TIMEOUT_MS = 1000;
const CHANGE_TIMEOUT_MS = 5000;
/** Signs of life that are asked of the watch in the time of a lease. */
const PROBES = 3;

/**
 * Coordination through etcd: what {@link Coordinator} says, for many nodes.
 *
 * All reads are from a view that one watch keeps. Changes are transactions of etcd; they resolve when the watch has brought them back. While etcd
 * cannot be reached, reads go on from the view, changes fail with UNAVAILABLE or TIMEOUT, and membership ends when the lease does.
 */
export class EtcdCoordinator implements Coordinator {
  readonly clusterId: string;
  readonly nodeId: string;
  readonly producerKey: Buffer;
  readonly cluster: Cluster;
  readonly tokens: TokenStore;
  readonly #parts: AsyncDisposableStack;
  readonly #topics: EtcdTopics;
  readonly #partitions: EtcdPartitions;
  readonly #producerIds: EtcdProducerIds;

  private constructor(parts: Parts, identity: ClusterIdentity) {
    const { options, store, view, feed, keys, membership, stack } = parts;
    const { nodeId, random, clock } = options;
    this.#parts = stack;
    this.clusterId = identity.id;
    this.producerKey = identity.producerKey;
    this.nodeId = nodeId;
    this.tokens = etcdTokens(store, view, feed, keys);
    this.#topics = new EtcdTopics({ store, view, feed, keys, clock, random });
    this.#partitions = new EtcdPartitions({ store, view, feed, membership, keys, random, nodeId });
    this.#producerIds = new EtcdProducerIds(store, keys.single('producer-ids'));
    const cluster = new EtcdCluster({ ...parts, nodeId, random, partitions: this.#partitions });
    stack.defer(() => cluster.close());
    this.cluster = cluster;
  }

  /**
   * Reads the cluster's keys and becomes a member.
   *
   * @throws INVALID_CONFIG when an option cannot be used, or another node of this name is alive; UNAVAILABLE, TIMEOUT when etcd cannot be
   *   reached; UNAUTHENTICATED, FORBIDDEN, CERTIFICATE_REJECTED when it does not let this node; STORAGE_FULL, STORAGE_FAILED
   */
  static async open(options: EtcdCoordinatorOptions): Promise<EtcdCoordinator> {
    check(options);
    const { clusterName, clock, random } = options;
    const times = {
      callMs: options.callTimeoutMs ?? CALL_TIMEOUT_MS,
      changeMs: options.changeTimeoutMs ?? CHANGE_TIMEOUT_MS,
    };
    const { prefix } = new Keys(clusterName);
    return EtcdCoordinator.on(new EtcdStore(options, prefix, clock, random, times), options);
  }

  /** As {@link open}, through a store that is there; it is disposed of with the coordinator. */
  static async on(store: EtcdStore, options: EtcdNodeOptions): Promise<EtcdCoordinator> {
    const { clusterName, nodeId, random, description, observer } = options;
    const ttlMs = options.leaseTtlMs ?? LEASE_TTL_MS;
    const stack = new AsyncDisposableStack();
    try {
      stack.use(store);
      const keys = new Keys(clusterName);
      const view = new View(keys, (key, fault) => observer?.onIgnored(key, fault));
      const identity = await openClusterIdentity(store, keys.single('cluster'), random);
      const feed = stack.use(new ViewFeed(store, view, observer ?? silent, ttlMs / PROBES));
      await store.persist(() => feed.start());
      const key = keys.of('nodes', nodeId);
      const membership = stack.use(
        new Membership({ store, view, nodeId, key, ttlSeconds: ttlMs / 1000, description }),
      );
      await feed.seen(await membership.join());
      return new EtcdCoordinator({ options, store, view, feed, keys, membership, stack }, identity);
    } catch (error) {
      await stack.disposeAsync();
      throw error;
    }
  }

  topics(): readonly TopicDefinition[] {
    return this.#topics.list();
  }

  topic(name: string): TopicDefinition | undefined {
    return this.#topics.get(name);
  }

  createTopic(topic: NewTopic): Promise<TopicDefinition> {
    return this.#topics.create(topic);
  }

  alterTopic(name: string, alter: Alter): Promise<TopicDefinition> {
    return this.#topics.alter(name, alter);
  }

  deleteTopic(name: string): Promise<void> {
    return this.#topics.delete(name);
  }

  watchTopics(listener: (change: TopicChange) => void): Unwatch {
    return this.#topics.watch(listener);
  }

  claimPartition(topicId: string, partition: number): Promise<PartitionClaim> {
    return this.#partitions.claim(topicId, partition);
  }

  reserveOffsets(topicId: string, partition: number, ceiling: number): Promise<void> {
    return this.#partitions.reserve(topicId, partition, ceiling);
  }

  allocateProducerId(): Promise<number> {
    return this.#producerIds.allocate();
  }

  /** Leaves the cluster and lets go of etcd. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
  }
}

interface Parts {
  readonly options: EtcdNodeOptions;
  readonly store: EtcdStore;
  readonly view: View;
  readonly feed: ViewFeed;
  readonly keys: Keys;
  readonly membership: Membership;
  readonly stack: AsyncDisposableStack;
}

const silent: FeedObserver = { onStalled: () => undefined, onFlowing: () => undefined };
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const ENDPOINT = /^https?:\/\/[^/]+$/;

/** What options must be like, and what to say where they are not. */
const RULES: readonly (readonly [isBroken: (options: EtcdCoordinatorOptions) => boolean, fault: string])[] = [
  [({ clusterName }) => !NAME.test(clusterName), 'cluster.name is no name'],
  [({ nodeId }) => !NAME.test(nodeId), 'node.id is no name'],
  [
    ({ leaseTtlMs: ms = LEASE_TTL_MS }) => ms < 2000 || ms % 1000 !== 0,
    'cluster.leaseTtl has to be whole seconds, 2 or more',
  ],
  [({ endpoints }) => endpoints.length === 0, 'cluster.etcd.endpoints names none'],
  [
    ({ endpoints }) => !endpoints.every((one) => ENDPOINT.test(one)),
    'cluster.etcd.endpoints are http://host:port or https://host:port',
  ],
  [
    ({ endpoints }) => new Set(endpoints.map((one) => one.startsWith('https:'))).size > 1,
    'cluster.etcd.endpoints are all http or all https',
  ],
  [
    (options) => isSecure(options) !== (options.caPem !== undefined),
    'cluster.etcd.ca goes with https, and https with it',
  ],
  [
    ({ certificatePem, keyPem }) => (certificatePem === undefined) !== (keyPem === undefined),
    'cluster.etcd.certificate and key belong together',
  ],
  [
    (options) => !isSecure(options) && options.keyPem !== undefined,
    'cluster.etcd.certificate and key go with https',
  ],
  [
    ({ username, password }) => (username === undefined) !== (password === undefined),
    'cluster.etcd.username and passwordFile belong together',
  ],
];

function isSecure({ endpoints }: EtcdCoordinatorOptions): boolean {
  return endpoints.some((one) => one.startsWith('https:'));
}

/** @throws INVALID_CONFIG */
function check(options: EtcdCoordinatorOptions): void {
  const faults = RULES.filter(([isBroken]) => isBroken(options)).map(([, fault]) => fault);
  if (faults.length === 0) faults.push(...faultsInFiles(options));
  if (faults.length > 0) throw new SluiceError('INVALID_CONFIG', faults.join('; '));
}

/** gRPC passes over what it cannot read, and only fails to connect later. */
function faultsInFiles({ caPem, certificatePem, keyPem }: EtcdCoordinatorOptions): string[] {
  const faults: string[] = [];
  const tried = (what: string, attempt: () => unknown): void => {
    try {
      attempt();
    } catch (error) {
      faults.push(`${what} cannot be used: ${(error as Error).message}`);
    }
  };
  if (caPem !== undefined) tried('cluster.etcd.ca', () => new X509Certificate(caPem));
  if (certificatePem !== undefined && keyPem !== undefined)
    tried('cluster.etcd.certificate with cluster.etcd.key', () =>
      createSecureContext({ cert: certificatePem, key: keyPem }),
    );
  return faults;
}
