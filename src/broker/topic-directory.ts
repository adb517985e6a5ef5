import type {
  Coordinator,
  NewTopic,
  TopicChange,
  TopicDefinition,
  Unwatch,
} from '../coordination/coordinator.ts';
import type { Timer } from '../kernel/clock.ts';
import { SluiceError, asSluiceError } from '../kernel/errors.ts';
import type { Partition } from '../partition/partition.ts';
import { FailedTopics } from './failed-topics.ts';
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

/** Told of topics in trouble; must not throw. */
export interface TopicObserver {
  /** It is refused with this error and tried again; told once for each error. */
  onOpenFailed(topic: TopicDefinition, error: SluiceError): void;
  /** It could be opened after all. */
  onRecovered(topic: TopicDefinition): void;
  /** A deleted topic has left something behind; it is removed at the next start. */
  onRemoveFailed(topic: TopicDefinition, error: SluiceError): void;
}

/** What a directory is made of. */
export interface TopicDirectoryOptions {
  readonly coordinator: Coordinator;
  readonly opener: PartitionOpener;
  readonly limits: TopicLimits;
  readonly listener: TopicListener;
  readonly observer?: TopicObserver | undefined;
}

/**
 * The topics that are open on this node, kept as the coordinator says they should be.
 *
 *     coordinator ── created ──> claim partitions, open logs ──> onOpened
 *                 ── altered ──> configure, open what was added ──> onOpened
 *                 ── deleted ──> close, readers end ──> onClosed ──> logs closed, what is left of them removed
 */
export class TopicDirectory {
  /** Those that could not be opened. */
  readonly failed: FailedTopics;
  readonly #coordinator: Coordinator;
  readonly #opener: PartitionOpener;
  readonly #limits: TopicLimits;
  readonly #listener: TopicListener;
  readonly #observer: TopicObserver | undefined;
  readonly #topics = new Map<string, OpenTopic>();
  /** By id: one that was deleted may still be opening when another takes its name. */
  readonly #opening = new Map<string, Promise<OpenTopic>>();
  /** Topics that are being created: they count before they exist. */
  readonly #creating = new Map<string, { readonly partitions: number; readonly done: Promise<OpenTopic> }>();
  /** By id: what deleted topics leave behind that is not put away yet. */
  readonly #removing = new Map<string, Promise<void>>();
  readonly #unwatch: Unwatch;
  #partitionCount = 0;
  /** Partitions that are being added to topics: they count before they exist. */
  #addingPartitions = 0;
  #sweepTimer: Timer | undefined;
  #closed = false;

  private constructor({ coordinator, opener, limits, listener, observer }: TopicDirectoryOptions) {
    this.#coordinator = coordinator;
    this.#opener = opener;
    this.#limits = limits;
    this.#listener = listener;
    this.#observer = observer;
    this.failed = new FailedTopics(opener.clock);
    this.#unwatch = coordinator.watchTopics((change) => this.#apply(change));
  }

  /** Opens every topic the coordinator knows; those that cannot be opened are in {@link failed} and tried again. */
  static async open(options: TopicDirectoryOptions): Promise<TopicDirectory> {
    const directory = new TopicDirectory(options);
    const topics = options.coordinator.topics();
    await Promise.allSettled(topics.map((definition) => directory.#ensureOpen(definition)));
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
   * @throws the same, when it was tried a moment ago
   */
  find(name: string): OpenTopic | Promise<OpenTopic> | undefined {
    const open = this.#topics.get(name) ?? this.#creating.get(name)?.done;
    if (open) return open;
    const definition = this.#coordinator.topic(name);
    if (!definition) return undefined;
    const refusal = this.failed.refusal(name);
    if (refusal && !this.#opening.has(definition.id)) throw refusal;
    return this.#ensureOpen(definition);
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
    const added = Math.max(0, change.partitions - before.partitions);
    this.#checkRoom(0, added);
    this.#addingPartitions += added;
    try {
      const definition = await this.#coordinator.alterTopic(name, change);
      const topic = await this.#ensureOpen(definition);
      await topic.work;
      return topic;
    } finally {
      this.#addingPartitions -= added;
    }
  }

  /**
   * Deletes a topic. When it resolves nothing brings back one that was open: its files are marked as deleted, or the observer was told why
   * not. One that is still being opened is not waited for.
   * @throws TOPIC_NOT_FOUND, STORAGE_FULL, STORAGE_FAILED
   */
  async delete(name: string): Promise<void> {
    const open = this.#topics.get(name);
    await this.#coordinator.deleteTopic(name);
    if (open) await this.#removing.get(open.definition.id);
  }

  /** Closes all topics; memory partitions leave their log end behind, so that offsets go on there. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#unwatch();
    this.#sweepTimer?.cancel();
    await Promise.allSettled(this.#opening.values());
    const topics = [...this.#topics.values()];
    this.#topics.clear();
    this.#partitionCount = 0;
    await Promise.allSettled(topics.map((topic) => topic.work));
    await Promise.allSettled(
      topics.flatMap((topic) => topic.partitions.map((one) => this.#opener.release(topic.definition, one))),
    );
    await Promise.allSettled(this.#removing.values());
  }

  #ensureOpen(definition: TopicDefinition): Promise<OpenTopic> {
    const open = this.#topics.get(definition.name);
    if (open) return Promise.resolve(open);
    let opening = this.#opening.get(definition.id);
    if (!opening) {
      opening = this.#open(definition).finally(() => this.#opening.delete(definition.id));
      this.#opening.set(definition.id, opening);
    }
    return opening;
  }

  async #open(definition: TopicDefinition): Promise<OpenTopic> {
    const topic = new OpenTopic(definition);
    let partitions: Partition[];
    try {
      partitions = await this.#openPartitions(definition, 0);
    } catch (error) {
      if (this.#isWanted(definition)) this.#noteFailure(definition, asSluiceError(error));
      throw error;
    }
    if (!this.#isWanted(definition)) {
      await closeAll(partitions);
      throw new SluiceError('TOPIC_NOT_FOUND', `topic ${definition.name} was deleted`);
    }
    this.#topics.set(definition.name, topic);
    if (this.failed.delete(definition.name)) this.#observer?.onRecovered(definition);
    this.#add(topic, partitions);
    this.#catchUp(topic);
    return topic;
  }

  #isWanted({ name, id }: TopicDefinition): boolean {
    return !this.#closed && this.#coordinator.topic(name)?.id === id;
  }

  #noteFailure(definition: TopicDefinition, error: SluiceError): void {
    if (this.failed.add(definition, error)) this.#observer?.onOpenFailed(definition, error);
  }

  /** Takes over what was altered while the topic was being opened. */
  #catchUp(topic: OpenTopic): void {
    const now = this.#coordinator.topic(topic.name);
    if (now && now !== topic.definition) this.#alterOpen(topic, now);
  }

  /** All of them, or none. */
  async #openPartitions(definition: TopicDefinition, from: number): Promise<Partition[]> {
    const indexes = Array.from({ length: definition.partitions - from }, (_, index) => from + index);
    const results = await Promise.allSettled(indexes.map((index) => this.#opener.open(definition, index)));
    const partitions = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    const failure = results.find((result) => result.status === 'rejected');
    if (!failure) return partitions;
    await Promise.allSettled(partitions.map((one) => this.#opener.release(definition, one)));
    throw failure.reason;
  }

  #add(topic: OpenTopic, partitions: readonly Partition[]): void {
    topic.partitions.push(...partitions);
    this.#partitionCount += partitions.length;
    this.#listener.onOpened(topic, partitions);
  }

  #apply(change: TopicChange): void {
    const open = this.#topics.get(change.topic.name);
    if (change.kind === 'deleted') this.#closeTopic(change.topic);
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
    this.#startGrowing(topic);
  }

  #startGrowing(topic: OpenTopic): void {
    topic.changes++;
    topic.work = topic.work
      .catch(() => undefined)
      .then(() => this.#grow(topic))
      .finally(() => topic.changes--);
    topic.work.catch(() => undefined);
  }

  async #grow(topic: OpenTopic): Promise<void> {
    const { definition } = topic;
    if (definition.partitions <= topic.partitions.length) return;
    const partitions = await this.#openPartitions(definition, topic.partitions.length);
    if (this.#topics.get(topic.name) === topic) this.#add(topic, partitions);
    else await closeAll(partitions);
  }

  #closeTopic(definition: TopicDefinition): void {
    const { name } = definition;
    this.failed.delete(name);
    const topic = this.#topics.get(name);
    const pending: unknown[] = [this.#opening.get(definition.id)];
    if (topic) {
      this.#topics.delete(name);
      this.#partitionCount -= topic.partitions.length;
      pending.push(topic.work, ...topic.partitions.map((partition) => partition.close()));
      this.#listener.onClosed(topic.partitions);
    }
    const removing = this.#remove(definition, pending).finally(() => this.#removing.delete(definition.id));
    this.#removing.set(definition.id, removing);
  }

  /** Removes what a topic leaves behind once nothing uses it any more. */
  async #remove(definition: TopicDefinition, pending: readonly unknown[]): Promise<void> {
    await Promise.allSettled(pending);
    try {
      await this.#opener.logs.remove(definition);
    } catch (error) {
      this.#observer?.onRemoveFailed(definition, asSluiceError(error));
    }
  }

  #checkRoom(topics: number, partitions: number): void {
    const { maxTopics, maxPartitions } = this.#limits;
    const creating = [...this.#creating.values()].reduce((sum, one) => sum + one.partitions, 0);
    const used = this.#partitionCount + creating + this.#addingPartitions + this.failed.partitions;
    if (topics > 0 && this.#topics.size + this.#creating.size + this.failed.size + topics > maxTopics) {
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
      for (const topic of this.#topics.values()) {
        for (const partition of topic.partitions) partition.sweep();
        // Partitions that could not be added are tried again.
        const missing = topic.definition.partitions > topic.partitions.length;
        if (missing && topic.changes === 0) this.#startGrowing(topic);
      }
      for (const definition of this.failed.due()) this.#ensureOpen(definition).catch(() => undefined);
      this.#armSweep();
    });
  }
}

async function closeAll(partitions: readonly Partition[]): Promise<void> {
  await Promise.allSettled(partitions.map(async (partition) => partition.close()));
}
