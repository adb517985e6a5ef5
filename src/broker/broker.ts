import type { OpenReader } from '../groups/ports.ts';
import { SluiceError } from '../kernel/errors.ts';
import type { Asker } from '../kernel/slots.ts';
import type { Partition } from '../partition/partition.ts';
import type { PartitionCounters } from '../partition/reader-source.ts';
import { newPartitionCounters } from '../partition/reader-source.ts';
import type { Start } from '../partition/reader.ts';
import type { ReplicaListener, ReplicaObserver } from '../replicas/replica-observer.ts';
import { Replicas } from '../replicas/replicas.ts';
import { AccessControl } from './access-control.ts';
import type { BrokerCounters, BrokerOptions } from './broker-options.ts';
import { ClusterAdministration } from './cluster-administration.ts';
import { TopicDescriber } from './topics/describe-topic.ts';
import type { Groups } from './groups.ts';
import { LeaderQuestions } from './leader-questions.ts';
import { OffsetQuestions } from './subscriptions/offset-questions.ts';
import { openGroups } from './open-groups.ts';
import type { OneReader, SubscribeOptions } from './subscriptions/open-subscription.ts';
import { SubscriptionOpener } from './subscriptions/open-subscription.ts';
import type { Credentials, NewToken, Principal, TokenDescription } from './ports.ts';
import { ProducerIds } from './producer-ids.ts';
import { ProducerRate } from './producer-rate.ts';
import type { Acks, PublishCallback } from './publisher.ts';
import { Publisher } from './publisher.ts';
import type { Subscription } from './subscriptions/subscriptions.ts';
import { Subscriptions } from './subscriptions/subscriptions.ts';
import { Tokens } from './tokens.ts';
import type { AlterTopic, NewTopicRequest } from './topics/topic-administration.ts';
import { TopicAdministration } from './topics/topic-administration.ts';
import { TopicDirectory } from './topics/topic-directory.ts';
import { TopicListeners } from './topics/topic-listeners.ts';
import { TopicOffsets } from './topics/topic-offsets.ts';
import { topicTotals } from './topics/topic-totals.ts';
import type { BrokerStatus, Position, SubscriptionStatus, TopicDescription, TopicMetadata } from './views.ts';

export type { BrokerOptions } from './broker-options.ts';
export type { OneReader, SubscribeOptions } from './subscriptions/open-subscription.ts';
export type { Acks, PublishCallback, PublishOutcome } from './publisher.ts';
export type { Subscription } from './subscriptions/subscriptions.ts';

/**
 * The use cases, the same for every gateway: publish, subscribe, administer. Principals are checked here.
 *
 * A principal's rights are asked for at every publish and request, and for a subscription when it is made and for each topic that
 * appears later. A subscription that is open is not cut when a right is taken away; gateways close the connections of a token that was
 * revoked or has expired.
 */
export class Broker {
  /** What may be asked about the nodes. */
  readonly cluster: ClusterAdministration;
  readonly groups: Groups;
  readonly #options: BrokerOptions;
  readonly #access: AccessControl;
  readonly #directory: TopicDirectory;
  readonly #administration: TopicAdministration;
  readonly #offsets: TopicOffsets;
  readonly #opener: SubscriptionOpener;
  readonly #publisher: Publisher;
  readonly #subscriptions: Subscriptions;
  readonly #tokens: Tokens;
  readonly #producerIds: ProducerIds;
  readonly #producerRate: ProducerRate;
  readonly #startedMs: number;
  /** Live; do not keep a copy. */
  readonly counters: BrokerCounters;
  #draining = false;

  private constructor(
    options: BrokerOptions,
    access: AccessControl,
    directory: TopicDirectory,
    subscriptions: Subscriptions,
    listeners: TopicListeners,
    counters: PartitionCounters,
  ) {
    const { coordinator, others, copies } = options;
    const { leaders } = directory;
    this.#options = options;
    this.#directory = directory;
    this.#subscriptions = subscriptions;
    this.#access = access;
    const questions = new LeaderQuestions(leaders, others);
    if (others) {
      subscriptions.distant = {
        ...{ leaders, copies, clock: options.clock, find: directory.get.bind(directory) },
        questions: new OffsetQuestions(questions, leaders),
      };
    }
    const administration = new TopicAdministration({
      ...{ directory, access },
      describer: new TopicDescriber(coordinator, leaders, questions, options.clock),
      defaults: options.topics,
      clock: options.clock,
    });
    this.#administration = administration;
    this.#offsets = new TopicOffsets({ access, administration, questions });
    this.#opener = new SubscriptionOpener({
      ...{ access, administration, directory, subscriptions, clock: options.clock },
      checkNotDraining: () => this.#checkNotDraining(),
    });
    this.#publisher = new Publisher({
      ...{ leaders, others, inflatedMaxBytes: options.inflatedMaxBytes },
      find: (name) => administration.findOrCreate(name),
    });
    this.cluster = new ClusterAdministration(options.coordinator, access, options.control);
    this.#tokens = new Tokens(options.coordinator.tokens, this.#access, options.clock, options.random);
    this.#producerIds = new ProducerIds(options.coordinator.producerKey);
    this.#producerRate = new ProducerRate(options.clock);
    this.#startedMs = options.clock.monotonicMs();
    this.groups = openGroups({
      ...{ options, access, directory, subscriptions, listeners },
      ...{ administration, questions },
      ...{ publisher: this.#publisher, producerIds: this.#producerIds },
    });
    this.counters = Object.assign(counters, { refusedPublishes: this.#publisher.refusals });
  }

  /** Opens what this node has of every topic there is; what cannot be opened is refused, and tried again until it can. */
  static async open(options: BrokerOptions): Promise<Broker> {
    const { coordinator, clock, random, logs, inflatedMaxBytes, client, maxLagMs, catchUpBytesPerSecond } =
      options;
    const counters = options.counters ?? newPartitionCounters();
    const access = new AccessControl(options.authorizer);
    const subscriptions = new Subscriptions(access);
    const listeners = new TopicListeners();
    listeners.add(subscriptions);
    const parts = { coordinator, clock, random, logs, counters, inflatedMaxBytes };
    const directory = await TopicDirectory.open({
      ...{ coordinator, clock, logs },
      openReplicas: (listener: ReplicaListener, observer: Partial<ReplicaObserver>) =>
        Replicas.open({ ...parts, client, maxLagMs, catchUpBytesPerSecond, listener, observer }),
      limits: options.topics,
      listener: listeners,
      observer: options.observer,
      replicaObserver: options.replicaObserver,
    });
    return new Broker(options, access, directory, subscriptions, listeners, counters);
  }

  /** @throws UNAUTHENTICATED */
  authenticate(credentials: Credentials): Principal {
    return this.#options.authenticator.authenticate(credentials);
  }

  /** Whether what a principal has shown is still good: its token was not revoked and has not expired. A gateway asks now and then. */
  isStillValid(principal: Principal): boolean {
    return this.#options.authenticator.isStillValid(principal);
  }

  /**
   * Stores one batch, here or, where another node leads the partition, there. Where it is led here and in memory the answer comes inside this call.
   *
   * @param partition undefined: by the hash of the first record's key, or in turn where it has none
   * @param batch exactly one batch as a client sent it; ownership passes: it is stamped in place and kept
   * @param acks 2: when all in-sync replicas have it, which on one node is the same as 1
   * @param done gets the outcome, or why not: FORBIDDEN, TOPIC_NOT_FOUND, INVALID_TOPIC, PARTITION_NOT_FOUND, OVERLOADED,
   *   DRAINING, UNKNOWN_PRODUCER, and what `Partition.append` throws, NOT_LEADER when nobody leads it; on the way to another node UNAVAILABLE and TIMEOUT, after
   *   which it may have been stored. Called exactly once; publishes of one partition are answered in order as long as it has one leader
   */
  publish(
    principal: Principal,
    topic: string,
    partition: number | undefined,
    batch: Buffer,
    acks: Acks,
    done: PublishCallback,
  ): void {
    try {
      this.#checkNotDraining();
      this.#access.check(principal, 'publish', topic);
      this.#producerIds.check(batch, principal);
    } catch (error) {
      this.#publisher.refuse(error, done);
      return;
    }
    this.#publisher.publish(topic, { partition, batch, acks, done });
  }

  /**
   * Subscribes to what a filter matches: one reader for each partition, now and whenever one is created.
   *
   * A wildcard leaves out topics that the principal may not read; a literal topic that does not exist is created where that is
   * allowed. Nothing waits when the topics exist, are led here and are in memory: the subscriber has its readers when this call returns.
   *
   * @throws INVALID_FILTER; FORBIDDEN, TOPIC_NOT_FOUND for a literal topic; OFFSET_OUT_OF_RANGE when a start is above a log end;
   *   INVALID_ARGUMENT for partitions of a wildcard; DRAINING
   */
  subscribe(principal: Principal, options: SubscribeOptions): Promise<Subscription> {
    return this.#opener.open(principal, options);
  }

  /**
   * Opens a cursor into one partition, for who reads it in this process; it goes on whoever leads the partition.
   * @param name shown in `listSubscriptions`
   * @throws FORBIDDEN, TOPIC_NOT_FOUND, PARTITION_NOT_FOUND, OFFSET_OUT_OF_RANGE, DRAINING; NOT_LEADER when the partition cannot be read anywhere
   *   within five seconds
   */
  openReader(principal: Principal, reader: OneReader): Promise<OpenReader> {
    return this.#opener.openReader(principal, reader);
  }

  /** Where topics are led. @param topics names; empty: all that the principal may see */
  metadata(
    principal: Principal,
    topics: readonly string[],
    autoCreate: boolean,
  ): Promise<readonly TopicMetadata[]> {
    return this.#administration.metadata(principal, topics, autoCreate && !this.#draining);
  }

  /** @throws INVALID_TOPIC, INVALID_ARGUMENT, TOPIC_EXISTS, FORBIDDEN, OVERLOADED, UNSUPPORTED, DRAINING, STORAGE_FULL, STORAGE_FAILED */
  async createTopic(principal: Principal, request: NewTopicRequest): Promise<TopicDescription> {
    this.#checkNotDraining();
    return this.#administration.create(principal, request);
  }

  /** Changes a topic while it is used. @throws as {@link createTopic}; TOPIC_NOT_FOUND */
  async alterTopic(principal: Principal, request: AlterTopic): Promise<TopicDescription> {
    this.#checkNotDraining();
    return this.#administration.alter(principal, request);
  }

  /** Deletes a topic and its records; its readers end. @throws FORBIDDEN, TOPIC_NOT_FOUND, DRAINING, STORAGE_FULL, STORAGE_FAILED */
  async deleteTopic(principal: Principal, name: string): Promise<void> {
    this.#checkNotDraining();
    await this.#administration.delete(principal, name);
  }

  /** Topics that the principal may see, by name. */
  async listTopics(
    principal: Principal,
    options: { readonly internal: boolean },
  ): Promise<readonly TopicDescription[]> {
    return this.#administration.list(principal, options.internal);
  }

  /** @throws FORBIDDEN, TOPIC_NOT_FOUND */
  async describeTopic(principal: Principal, name: string): Promise<TopicDescription> {
    return this.#administration.describe(principal, name);
  }

  /**
   * The offsets that a place means now.
   * @param partitions empty: all
   * @param asker who waits for them; CANCELLED when it has gone
   * @throws FORBIDDEN, TOPIC_NOT_FOUND, PARTITION_NOT_FOUND, OFFSET_OUT_OF_RANGE; INVALID_ARGUMENT for last-per-key; NOT_LEADER, UNAVAILABLE, TIMEOUT
   *   when the leader of one cannot be asked
   */
  async listOffsets(
    principal: Principal,
    topic: string,
    partitions: readonly number[],
    at: Start,
    asker?: Asker,
  ): Promise<readonly Position[]> {
    return this.#offsets.list(principal, topic, partitions, at, asker);
  }

  /**
   * Deletes the oldest records for ever; readers that have not come so far get a gap.
   * @param partitions empty: all
   * @param before the first record that stays; latest: none does
   * @returns where each partition begins now
   * @throws FORBIDDEN unless the principal administers the topic; INVALID_ARGUMENT for last-per-key; TOPIC_NOT_FOUND,
   *   PARTITION_NOT_FOUND, OFFSET_OUT_OF_RANGE, DRAINING; STORAGE_FULL, STORAGE_FAILED, UNAVAILABLE: they are deleted, but may come back after a crash
   */
  async deleteRecords(
    principal: Principal,
    topic: string,
    partitions: readonly number[],
    before: Start,
  ): Promise<readonly Position[]> {
    this.#checkNotDraining();
    return this.#offsets.deleteBefore(principal, topic, partitions, before);
  }

  /** Subscriptions with their lag: the principal's own, or everybody's for who administers the node. */
  listSubscriptions(principal: Principal): readonly SubscriptionStatus[] {
    const all = this.#access.allows(principal, 'admin', undefined);
    return this.#subscriptions.status((owner) => all || owner.name === principal.name);
  }

  /**
   * A producer id that nobody else has; for every client that is authenticated. Batches that carry it are refused from any other
   * principal, on every node and over restarts.
   * @throws OVERLOADED when the principal takes too many; DRAINING, STORAGE_FULL, STORAGE_FAILED
   */
  async initProducer(
    principal: Principal,
  ): Promise<{ readonly producerId: number; readonly producerEpoch: number }> {
    this.#checkNotDraining();
    this.#producerRate.take(principal);
    const number = await this.#options.coordinator.allocateProducerId();
    return { producerId: this.#producerIds.bind(number, principal), producerEpoch: 0 };
  }

  /**
   * Makes a token; it is in the answer and nowhere else.
   * @throws FORBIDDEN unless the principal administers the node; INVALID_ARGUMENT; DRAINING, STORAGE_FULL, STORAGE_FAILED
   */
  async createToken(
    principal: Principal,
    token: NewToken,
  ): Promise<{ readonly id: string; readonly token: string }> {
    this.#checkNotDraining();
    return this.#tokens.create(principal, token);
  }

  /** @throws FORBIDDEN unless the principal administers the node */
  listTokens(principal: Principal): readonly TokenDescription[] {
    return this.#tokens.list(principal);
  }

  /** Refuses a token from now on; gateways close the connections that have shown it. @throws FORBIDDEN, TOKEN_NOT_FOUND, STORAGE_FULL, STORAGE_FAILED */
  async revokeToken(principal: Principal, id: string): Promise<void> {
    await this.#tokens.revoke(principal, id);
  }

  /** @throws FORBIDDEN unless the principal administers the node */
  status(principal: Principal): BrokerStatus {
    this.#access.check(principal, 'admin', undefined);
    return this.snapshot();
  }

  /** The node in numbers, for who runs in the same process and needs no permission: metrics, health. */
  snapshot(): BrokerStatus {
    const { coordinator, clock } = this.#options;
    return {
      nodeId: coordinator.nodeId,
      clusterId: coordinator.clusterId,
      uptimeMs: Math.floor(clock.monotonicMs() - this.#startedMs),
      subscriptions: this.#subscriptions.size,
      ...topicTotals(this.#directory),
      recordsIn: this.counters.recordsIn,
      bytesIn: this.counters.bytesIn,
      draining: this.#draining,
    };
  }

  /** The copy that this node has of a partition, in whatever role; undefined: none that can be used. */
  copy(topicId: string, partition: number): Partition | undefined {
    return this.#directory.copy(topicId, partition);
  }

  /** All copies that this node has. */
  copies(): readonly Partition[] {
    return [...this.#directory.all()].flatMap((topic) => topic.copies);
  }

  /** From now on publishes, subscriptions and changes are refused with DRAINING; readers that are open go on. Idempotent. */
  drain(): void {
    this.#draining = true;
    this.groups.drain();
  }

  /** Drains and closes all topics: readers end. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.drain();
    const groups = this.groups.close();
    this.#subscriptions.end();
    await groups;
    await this.#directory.close();
  }

  #checkNotDraining(): void {
    if (this.#draining) throw new SluiceError('DRAINING', 'this node is going; connect to another one');
  }
}
