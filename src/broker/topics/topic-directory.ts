import type { PartitionEntry } from '../../coordination/cluster.ts';
import type {
  Coordinator,
  NewTopic,
  TopicAlteration,
  TopicChange,
  TopicDefinition,
  Unwatch,
} from '../../coordination/coordinator.ts';
import type { Clock, Timer } from '../../kernel/clock.ts';
import { SluiceError } from '../../kernel/errors.ts';
import type { Partition } from '../../partition/partition.ts';
import type { ReplicaLogs } from '../../replicas/replica-logs.ts';
import type { ReplicaListener, ReplicaObserver, ReplicaPlace } from '../../replicas/replica-observer.ts';
import type { Replicas } from '../../replicas/replicas.ts';
import type { TopicObserver } from './failed-topics.ts';
import { FailedTopics } from './failed-topics.ts';
import { LeaderWaits } from './leader-waits.ts';
import { Leaders } from './leaders.ts';
import { OpenTopic } from './open-topic.ts';
import type { TopicCount, TopicLimits } from './topic-room.ts';
import { checkRoom } from './topic-room.ts';

/** How often idle partitions are looked at for what has become too old. */
const SWEEP_MS = 1000;

/** Told, in the same turn, what can be read here and what no longer; must not throw. */
export interface TopicListener {
  /** This node has a copy of a partition now. */
  onOpened(topic: OpenTopic, index: number): void;
  /** Its copy is being closed, and the topic goes on. */
  onClosed(topic: OpenTopic, index: number): void;
  /** A partition is only on other nodes, or what this one should have of it cannot be opened. */
  onElsewhere(topic: OpenTopic, index: number): void;
  /** The topic is gone; its copies are closed in this turn. */
  onDeleted(topic: OpenTopic): void;
  /** Called each second. */
  sweep(): void;
}

/** What a directory is made of. */
export interface TopicDirectoryOptions {
  readonly coordinator: Coordinator;
  readonly clock: Clock;
  readonly logs: Pick<ReplicaLogs, 'checkStorage'>;
  /** Opens the replicas of this node; they are the directory's to close. */
  readonly openReplicas: (listener: ReplicaListener, observer: Partial<ReplicaObserver>) => Promise<Replicas>;
  readonly limits: TopicLimits;
  readonly listener: TopicListener;
  readonly observer?: TopicObserver | undefined;
  /** Told how replicas fare, besides. */
  readonly replicaObserver?: Partial<ReplicaObserver> | undefined;
}

/**
 * All topics, as the coordinator says they should be, with the copies that this node has of their partitions.
 *
 *     coordinator ── created ──> known ── copies opened, leaders there ──> ready
 *                 ── altered ──> known so, what was added is opened
 *                 ── deleted ──> forgotten: readers end, copies are closed and removed
 */
export class TopicDirectory {
  readonly leaders: Leaders;
  readonly #options: TopicDirectoryOptions;
  readonly #coordinator: Coordinator;
  readonly #failed: FailedTopics;
  readonly #topics = new Map<string, OpenTopic>();
  readonly #byId = new Map<string, OpenTopic>();
  readonly #waits: LeaderWaits;
  /** Topics that are being created: they count before they exist. */
  readonly #creating = new Map<string, { readonly partitions: number; readonly done: Promise<OpenTopic> }>();
  readonly #unwatch: readonly Unwatch[];
  #replicas: Replicas | undefined;
  #partitionCount = 0;
  /** Partitions that are being added to topics: they count before they exist. */
  #addingPartitions = 0;
  #sweepTimer: Timer | undefined;
  #closed = false;

  private constructor(options: TopicDirectoryOptions) {
    const { coordinator } = options;
    this.#options = options;
    this.#coordinator = coordinator;
    this.#failed = new FailedTopics(options.observer);
    this.leaders = new Leaders(coordinator, () => this.#replicas);
    this.#waits = new LeaderWaits(this.leaders, options.clock);
    this.#unwatch = [
      coordinator.watchTopics((change) => this.#apply(change)),
      coordinator.cluster.watchPartitions(({ kind, entry }) => {
        if (kind === 'updated') this.#take(entry);
      }),
    ];
    for (const definition of coordinator.topics()) this.#add(definition);
    for (const entry of coordinator.cluster.partitionStates()) this.#take(entry);
  }

  /** Opens what this node has of every topic; what cannot be opened is tried again. */
  static async open(options: TopicDirectoryOptions): Promise<TopicDirectory> {
    const directory = new TopicDirectory(options);
    await directory.#openReplicas();
    return directory;
  }

  get topicCount(): number {
    return this.#topics.size;
  }

  /** Topics of which a copy here cannot be used. */
  get failedCount(): number {
    return this.#failed.size;
  }

  get(name: string): OpenTopic | undefined {
    return this.#topics.get(name);
  }

  /**
   * A topic that can be used, or will be: that is being created, or whose partitions are still being opened.
   * @returns undefined when there is no such topic; a promise that rejects with TOPIC_NOT_FOUND, STORAGE_FULL, STORAGE_FAILED and what else
   *   keeps it from being used at all
   */
  find(name: string): OpenTopic | Promise<OpenTopic> | undefined {
    const topic = this.#topics.get(name);
    if (topic?.isReady) return topic;
    return topic ? this.#ready(topic) : this.#creating.get(name)?.done;
  }

  all(): IterableIterator<OpenTopic> {
    return this.#topics.values();
  }

  /** A copy that this node has, in whatever role. */
  copy(topicId: string, partition: number): Partition | undefined {
    return this.#byId.get(topicId)?.copy(partition);
  }

  /**
   * Creates a topic; when it resolves its partitions have leaders, or have had five seconds to get them.
   * @throws TOPIC_EXISTS; OVERLOADED when there are too many; UNSUPPORTED; STORAGE_FULL, STORAGE_FAILED
   */
  async create(topic: NewTopic): Promise<OpenTopic> {
    const { name, partitions } = topic;
    if (this.#coordinator.topic(name) || this.#creating.has(name)) {
      throw new SluiceError('TOPIC_EXISTS', `topic ${name} exists already`);
    }
    this.#options.logs.checkStorage?.(topic.settings.storage);
    this.#checkRoom({ topics: 1, partitions });
    const done = this.#coordinator.createTopic(topic).then(({ id }) => this.#readyById(id, name));
    this.#creating.set(name, { partitions, done });
    try {
      const open = await done;
      this.#checkOpened(open, 0);
      return open;
    } finally {
      this.#creating.delete(name);
    }
  }

  /**
   * Changes settings of what the topic is by then, at once also for what is retained, and adds partitions, for whose leaders it waits as {@link create}.
   * @throws TOPIC_NOT_FOUND, INVALID_ARGUMENT, OVERLOADED, STORAGE_FULL, STORAGE_FAILED
   */
  async alter(name: string, alter: (now: TopicDefinition) => TopicAlteration): Promise<OpenTopic> {
    const before = this.#coordinator.topic(name);
    if (!before) throw new SluiceError('TOPIC_NOT_FOUND', `there is no topic ${name}`);
    const { partitions = before.partitions } = alter(before);
    const added = Math.max(0, partitions - before.partitions);
    this.#checkRoom({ topics: 0, partitions: added });
    this.#addingPartitions += added;
    let definition: TopicDefinition;
    try {
      definition = await this.#coordinator.alterTopic(name, alter);
    } finally {
      this.#addingPartitions -= added;
    }
    const topic = await this.#readyById(definition.id, name);
    await this.#settle(topic);
    this.#checkOpened(topic, before.partitions);
    return topic;
  }

  /**
   * Deletes a topic. When it resolves nothing brings back what was open of it here: its files are marked as deleted, or the observer was told why
   * not. What is still being opened is not waited for.
   * @throws TOPIC_NOT_FOUND, STORAGE_FULL, STORAGE_FAILED
   */
  async delete(name: string): Promise<void> {
    const id = this.#topics.get(name)?.definition.id;
    const isOpen = id !== undefined && this.#replicas?.ofTopic(id).length !== 0;
    await this.#coordinator.deleteTopic(name);
    if (isOpen) await this.#replicas?.removed(id);
  }

  /** Closes all copies; partitions in memory that are led here leave their log end behind, so that offsets go on there. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const unwatch of this.#unwatch) unwatch();
    this.#sweepTimer?.cancel();
    this.#waits.endAll();
    this.#topics.clear();
    this.#byId.clear();
    await this.#replicas?.close();
  }

  async #openReplicas(): Promise<void> {
    const { openReplicas, observer, replicaObserver = {} } = this.#options;
    const listener: ReplicaListener = {
      onOpened: (definition, copy) => this.#opened(definition, copy),
      onClosed: (definition, copy) => this.#copyClosed(definition, copy),
    };
    this.#replicas = await openReplicas(listener, {
      ...replicaObserver,
      onFailed: (place, error) => {
        replicaObserver.onFailed?.(place, error);
        this.#failed.failed(place, error);
        // Not before it can be asked for.
        queueMicrotask(() => this.#copyFailed(place));
      },
      onRecovered: (place) => {
        replicaObserver.onRecovered?.(place);
        this.#failed.recovered(place);
      },
      onRole: (place, role, epoch) => {
        replicaObserver.onRole?.(place, role, epoch);
        this.#look(this.#byId.get(place.topic.id));
      },
      onRemoveFailed: (topic, partition, error) => {
        replicaObserver.onRemoveFailed?.(topic, partition, error);
        observer?.onRemoveFailed(topic, error);
      },
    });
    // They have been tried; a cluster that starts does not wait for those who lead.
    for (const topic of this.#topics.values()) topic.isReady = true;
    this.#armSweep();
  }

  /** @throws TOPIC_NOT_FOUND when it was deleted meanwhile; why it cannot be used at all */
  async #ready(topic: OpenTopic): Promise<OpenTopic> {
    await topic.ready;
    if (this.#byId.get(topic.definition.id) !== topic) throw deleted(topic.name);
    const fault = this.leaders.fault(topic);
    if (fault) throw fault;
    return topic;
  }

  async #readyById(topicId: string, name: string): Promise<OpenTopic> {
    const topic = this.#byId.get(topicId);
    if (!topic) throw deleted(name);
    return this.#ready(topic);
  }

  /** @throws why one of the partitions from `first` on, which this node should have, could not be opened */
  #checkOpened(topic: OpenTopic, first: number): void {
    for (let index = first; index < topic.count; index++) {
      const failure = topic.copy(index) ? undefined : this.leaders.failure(topic, index);
      if (failure) throw failure;
    }
  }

  /** Waits until its copies have been tried to be opened and its partitions are led. Never rejects. */
  async #settle(topic: OpenTopic): Promise<void> {
    await this.#replicas?.settled(topic.definition.id).catch(() => undefined);
    if (this.#closed || this.#byId.get(topic.definition.id) !== topic) return;
    await this.#waits.wait(topic);
  }

  #add(definition: TopicDefinition): OpenTopic {
    const topic = new OpenTopic(definition);
    this.#topics.set(definition.name, topic);
    this.#byId.set(definition.id, topic);
    this.#partitionCount += definition.partitions;
    return topic;
  }

  #apply({ kind, topic: definition }: TopicChange): void {
    const topic = this.#byId.get(definition.id);
    if (kind === 'deleted') {
      if (topic) this.#delete(topic);
    } else if (topic) {
      this.#partitionCount += definition.partitions - topic.count;
      topic.definition = definition;
    } else {
      this.#begin(this.#add(definition));
    }
  }

  #begin(topic: OpenTopic): void {
    this.#takeStates(topic);
    // Not yet while the replicas are being opened; they are waited for then.
    if (!this.#replicas) return;
    topic.ready = this.#startUp(topic);
  }

  async #startUp(topic: OpenTopic): Promise<void> {
    // All who watch topics have been told then.
    await Promise.resolve();
    await this.#settle(topic);
    topic.isReady = true;
  }

  #delete(topic: OpenTopic): void {
    const { definition } = topic;
    topic.isDeleted = true;
    this.#byId.delete(definition.id);
    if (this.#topics.get(topic.name) === topic) this.#topics.delete(topic.name);
    this.#partitionCount -= topic.count;
    this.#failed.forget(definition);
    this.#waits.end(topic);
    this.#options.listener.onDeleted(topic);
  }

  /** States may have been told before their topic was. */
  #takeStates({ definition }: OpenTopic): void {
    for (let index = 0; index < definition.partitions; index++) {
      const entry = this.#coordinator.cluster.partitionState(definition.id, index);
      if (entry) this.#take(entry);
    }
  }

  #take({ topicId, partition: index, state }: PartitionEntry): void {
    const topic = this.#byId.get(topicId);
    if (!topic) return;
    const isElsewhere = !state.replicas.includes(this.#coordinator.nodeId);
    if (topic.setElsewhere(index, isElsewhere) && isElsewhere) {
      this.#options.listener.onElsewhere(topic, index);
    }
    this.#look(topic);
  }

  #opened({ id }: TopicDefinition, copy: Partition): void {
    const topic = this.#byId.get(id);
    if (!topic) return;
    topic.setCopy(copy.partition, copy);
    this.#options.listener.onOpened(topic, copy.partition);
    this.#look(topic);
  }

  #copyFailed({ topic: { id }, partition }: ReplicaPlace): void {
    const topic = this.#byId.get(id);
    if (!topic) return;
    if (!topic.copy(partition)) this.#options.listener.onElsewhere(topic, partition);
    this.#look(topic);
  }

  #copyClosed({ id }: TopicDefinition, copy: Partition): void {
    const topic = this.#byId.get(id);
    if (topic?.copy(copy.partition) !== copy) return;
    topic.setCopy(copy.partition, undefined);
    this.#options.listener.onClosed(topic, copy.partition);
  }

  /** Something about its leaders has changed. */
  #look(topic: OpenTopic | undefined): void {
    if (!topic) return;
    this.#waits.look(topic);
    topic.spread((index) => this.leaders.isLed(topic, index));
  }

  #checkRoom(more: TopicCount): void {
    // Those that exist already count once.
    const creating = [...this.#creating].filter(([name]) => !this.#topics.has(name));
    const used = {
      topics: this.#topics.size + creating.length,
      partitions:
        this.#partitionCount +
        this.#addingPartitions +
        creating.reduce((sum, [, { partitions: count }]) => sum + count, 0),
    };
    checkRoom(this.#options.limits, used, more);
  }

  #armSweep(): void {
    this.#sweepTimer = this.#options.clock.setTimer(SWEEP_MS, () => {
      for (const topic of this.#topics.values()) for (const copy of topic.copies) copy.sweep();
      this.#options.listener.sweep();
      this.#armSweep();
    });
  }
}

function deleted(name: string): SluiceError {
  return new SluiceError('TOPIC_NOT_FOUND', `topic ${name} was deleted`);
}
