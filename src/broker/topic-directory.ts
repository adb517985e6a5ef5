import type {
  Coordinator,
  NewTopic,
  TopicChange,
  TopicDefinition,
  Unwatch,
} from '../coordination/coordinator.ts';
import type { Timer } from '../kernel/clock.ts';
import { SluiceError } from '../kernel/errors.ts';
import type { Partition } from '../partition/partition.ts';
import { OpenTopic } from './open-topic.ts';
import type { PartitionOpener } from './partition-opener.ts';

/** How often idle partitions are looked at for what has become too old. */
const SWEEP_MS = 1000;

/** Bounds of a directory. */
export interface TopicLimits {
  readonly maxTopics: number;
  readonly maxPartitions: number;
}

/** Told, in the same turn, what appears and disappears; must not throw. */
export interface TopicListener {
  onOpened(topic: OpenTopic, partitions: readonly Partition[]): void;
  onClosed(partitions: readonly Partition[]): void;
}

/**
 * The topics that are open on this node, kept as the coordinator says they should be.
 *
 *     coordinator ── created ──> claim partitions, open logs ──> onOpened
 *                 ── altered ──> configure, open what was added ──> onOpened
 *                 ── deleted ──> close, readers end ──> onClosed
 */
export class TopicDirectory {
  readonly #coordinator: Coordinator;
  readonly #opener: PartitionOpener;
  readonly #limits: TopicLimits;
  readonly #listener: TopicListener;
  readonly #topics = new Map<string, OpenTopic>();
  readonly #opening = new Map<string, Promise<OpenTopic>>();
  /** Topics that are being created: they count before they exist. */
  readonly #creating = new Map<string, { readonly partitions: number; readonly done: Promise<OpenTopic> }>();
  readonly #unwatch: Unwatch;
  #partitionCount = 0;
  #sweepTimer: Timer | undefined;
  #closed = false;

  private constructor(
    coordinator: Coordinator,
    opener: PartitionOpener,
    limits: TopicLimits,
    listener: TopicListener,
  ) {
    this.#coordinator = coordinator;
    this.#opener = opener;
    this.#limits = limits;
    this.#listener = listener;
    this.#unwatch = coordinator.watchTopics((change) => this.#apply(change));
  }

  /**
   * Opens every topic the coordinator knows.
   * @throws what opening one of them throws
   */
  static async open(
    coordinator: Coordinator,
    opener: PartitionOpener,
    limits: TopicLimits,
    listener: TopicListener,
  ): Promise<TopicDirectory> {
    const directory = new TopicDirectory(coordinator, opener, limits, listener);
    await Promise.all(coordinator.topics().map((definition) => directory.#ensureOpen(definition)));
    directory.#armSweep();
    return directory;
  }

  get topicCount(): number {
    return this.#topics.size;
  }

  get partitionCount(): number {
    return this.#partitionCount;
  }

  get(name: string): OpenTopic | undefined {
    return this.#topics.get(name);
  }

  /**
   * A topic that is open, or will be: that is being created, or that could not be opened before and is tried again.
   * @returns undefined when there is no such topic; a promise that rejects with STORAGE_FULL, STORAGE_FAILED and what else
   *   keeps it from being opened
   */
  find(name: string): OpenTopic | Promise<OpenTopic> | undefined {
    const open = this.#topics.get(name) ?? this.#creating.get(name)?.done;
    if (open) return open;
    const definition = this.#coordinator.topic(name);
    return definition && this.#ensureOpen(definition);
  }

  all(): IterableIterator<OpenTopic> {
    return this.#topics.values();
  }

  /**
   * Creates a topic and opens it.
   * @throws TOPIC_EXISTS; OVERLOADED when there are too many; UNSUPPORTED; STORAGE_FULL, STORAGE_FAILED
   */
  async create(topic: NewTopic): Promise<OpenTopic> {
    if (this.#coordinator.topic(topic.name) || this.#creating.has(topic.name)) {
      throw new SluiceError('TOPIC_EXISTS', `topic ${topic.name} exists already`);
    }
    this.#opener.logs.checkStorage(topic.settings.storage);
    this.#checkRoom(1, topic.partitions);
    const done = this.#coordinator.createTopic(topic).then((definition) => this.#ensureOpen(definition));
    this.#creating.set(topic.name, { partitions: topic.partitions, done });
    try {
      return await done;
    } finally {
      this.#creating.delete(topic.name);
    }
  }

  /**
   * Changes settings, at once also for what is retained, and adds partitions.
   * @throws TOPIC_NOT_FOUND, INVALID_ARGUMENT, OVERLOADED, STORAGE_FULL, STORAGE_FAILED
   */
  async alter(name: string, change: Pick<NewTopic, 'partitions' | 'settings'>): Promise<OpenTopic> {
    const before = this.#coordinator.topic(name);
    if (!before) throw new SluiceError('TOPIC_NOT_FOUND', `there is no topic ${name}`);
    this.#checkRoom(0, change.partitions - before.partitions);
    const definition = await this.#coordinator.alterTopic(name, change);
    const topic = await this.#ensureOpen(definition);
    await topic.work;
    return topic;
  }

  /** Closes all topics; memory partitions leave their log end behind, so that offsets go on there. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#unwatch();
    this.#sweepTimer?.cancel();
    await Promise.allSettled(this.#opening.values());
    const partitions = [...this.#topics.values()].flatMap((topic) =>
      topic.partitions.map((one) => ({ topic, one })),
    );
    this.#topics.clear();
    this.#partitionCount = 0;
    await Promise.all(partitions.map(({ topic, one }) => this.#opener.release(topic.definition, one)));
  }

  #ensureOpen(definition: TopicDefinition): Promise<OpenTopic> {
    const open = this.#topics.get(definition.name);
    if (open) return Promise.resolve(open);
    let opening = this.#opening.get(definition.name);
    if (!opening) {
      opening = this.#open(definition).finally(() => this.#opening.delete(definition.name));
      this.#opening.set(definition.name, opening);
    }
    return opening;
  }

  async #open(definition: TopicDefinition): Promise<OpenTopic> {
    const topic = new OpenTopic(definition);
    const partitions = await this.#openPartitions(definition, 0);
    if (this.#closed || this.#coordinator.topic(definition.name)?.id !== definition.id) {
      for (const partition of partitions) partition.close();
      throw new SluiceError('TOPIC_NOT_FOUND', `topic ${definition.name} was deleted`);
    }
    this.#topics.set(definition.name, topic);
    this.#add(topic, partitions);
    return topic;
  }

  async #openPartitions(definition: TopicDefinition, from: number): Promise<Partition[]> {
    const indexes = Array.from({ length: definition.partitions - from }, (_, index) => from + index);
    return Promise.all(indexes.map((index) => this.#opener.open(definition, index)));
  }

  #add(topic: OpenTopic, partitions: readonly Partition[]): void {
    topic.partitions.push(...partitions);
    this.#partitionCount += partitions.length;
    this.#listener.onOpened(topic, partitions);
  }

  #apply(change: TopicChange): void {
    const open = this.#topics.get(change.topic.name);
    if (change.kind === 'deleted') this.#closeTopic(change.topic.name);
    else if (open) this.#alterOpen(open, change.topic);
    // Who uses a topic that could not be opened tries again and is told why.
    else this.#ensureOpen(change.topic).catch(() => undefined);
  }

  #alterOpen(topic: OpenTopic, definition: TopicDefinition): void {
    topic.definition = definition;
    for (const partition of topic.partitions) {
      partition.configure(definition.settings);
      partition.log.configure(definition.settings);
    }
    topic.work = topic.work.catch(() => undefined).then(() => this.#grow(topic, definition));
    topic.work.catch(() => undefined);
  }

  async #grow(topic: OpenTopic, definition: TopicDefinition): Promise<void> {
    if (definition.partitions <= topic.partitions.length) return;
    const partitions = await this.#openPartitions(definition, topic.partitions.length);
    if (this.#topics.get(topic.name) === topic) this.#add(topic, partitions);
    else for (const partition of partitions) partition.close();
  }

  #closeTopic(name: string): void {
    const topic = this.#topics.get(name);
    if (!topic) return;
    this.#topics.delete(name);
    this.#partitionCount -= topic.partitions.length;
    for (const partition of topic.partitions) partition.close();
    this.#listener.onClosed(topic.partitions);
  }

  #checkRoom(topics: number, partitions: number): void {
    const { maxTopics, maxPartitions } = this.#limits;
    const creating = [...this.#creating.values()].reduce((sum, one) => sum + one.partitions, 0);
    const used = this.#partitionCount + creating;
    if (topics > 0 && this.#topics.size + this.#creating.size + topics > maxTopics) {
      throw new SluiceError(
        'OVERLOADED',
        `there are ${maxTopics} topics, which is the most allowed (topics.maxTopics)`,
      );
    }
    if (partitions > 0 && used + partitions > maxPartitions) {
      throw new SluiceError(
        'OVERLOADED',
        `${partitions} partitions more than ${used} are above the most allowed, ${maxPartitions} (topics.maxPartitions)`,
      );
    }
  }

  #armSweep(): void {
    this.#sweepTimer = this.#opener.clock.setTimer(SWEEP_MS, () => {
      for (const topic of this.#topics.values()) for (const partition of topic.partitions) partition.sweep();
      this.#armSweep();
    });
  }
}
