import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../kernel/clock.ts';
import { SluiceError } from '../../kernel/errors.ts';
import type { Random } from '../../kernel/random.ts';
import { storageError } from '../../kernel/storage-error.ts';
import type { TokenRecord, TokenStore } from '../../security/token.ts';
import type { Cluster } from '../cluster.ts';
import type {
  Alter,
  Coordinator,
  NewTopic,
  PartitionClaim,
  TopicChange,
  TopicDefinition,
  TopicSettings,
  Unwatch,
} from '../coordinator.ts';
import { OFFSET_BLOCK } from '../coordinator.ts';
import { DataDirLock } from './data-dir-lock.ts';
import { DiskReserve } from './disk-reserve.ts';
import type { NodeState } from './node-files.ts';
import { openNodeFiles, tokenStore } from './node-files.ts';
import { newProducerKey } from '../producer-key.ts';
import { alterationOf } from '../topic-alteration.ts';
import { SingleNode } from './single-node.ts';
import { StateFile, listStateFiles, removeFile } from './state-file.ts';
import type { TopicState } from './topic-files.ts';
import { altered, openTopics, topicPath, topicsFolder } from './topic-files.ts';

/*
 * The data directory of an embedded coordinator:
 *
 *     lock                            held by the process that runs
 *     coordination/node.json          ids, number of starts, ceiling and key of producer ids
 *     coordination/tokens.json        token records
 *     coordination/reserve            room for the others on a disk that is full
 *     coordination/topics/NAME.json   definition and offset ceilings of one topic
 */

/** Producer ids set aside with one write. */
const PRODUCER_ID_BLOCK = 1000;

/** What an embedded coordinator needs. */
export interface EmbeddedOptions {
  /** Created when it does not exist. */
  readonly dataDir: string;
  readonly clock: Clock;
  readonly random: Random;
  /** Name of this node; default one that is made once and kept. */
  readonly nodeId?: string;
}

interface Parts {
  readonly lock: DataDirLock;
  readonly reserve: DiskReserve;
  readonly node: StateFile<NodeState>;
  readonly producerKey: string;
  readonly tokens: StateFile<readonly TokenRecord[]>;
  readonly topics: readonly StateFile<TopicState>[];
}

/**
 * Coordination for a node on its own: files in the data directory, no other process.
 *
 * Topic definitions, tokens and ids survive restarts. Records of memory topics do not, but their offsets go on above every
 * offset that was handed out before, so that a subscriber that resumes is told of a gap instead of reading other records
 * under the old numbers: after an orderly stop at the old log end, after a crash at the next multiple of
 * {@link OFFSET_BLOCK}.
 */
export class EmbeddedCoordinator implements Coordinator {
  readonly clusterId: string;
  readonly nodeId: string;
  readonly producerKey: Buffer;
  readonly tokens: TokenStore;
  readonly cluster: Cluster;
  readonly #options: EmbeddedOptions;
  readonly #lock: DataDirLock;
  readonly #reserve: DiskReserve;
  readonly #node: StateFile<NodeState>;
  readonly #tokens: StateFile<readonly TokenRecord[]>;
  readonly #topics = new Map<string, StateFile<TopicState>>();
  readonly #topicsById = new Map<string, StateFile<TopicState>>();
  /** Names that are being created or deleted. */
  readonly #busy = new Map<string, Promise<unknown>>();
  readonly #watchers = new Set<(change: TopicChange) => void>();
  #nextProducerId: number;
  #closed = false;

  private constructor(options: EmbeddedOptions, parts: Parts) {
    const { lock, reserve, node, tokens, topics } = parts;
    this.#options = options;
    this.#lock = lock;
    this.#reserve = reserve;
    this.#node = node;
    this.#tokens = tokens;
    for (const file of topics) this.#keep(file);
    this.#nextProducerId = node.state.producerIdCeiling;
    this.clusterId = node.state.clusterId;
    this.nodeId = options.nodeId ?? node.state.nodeId;
    this.producerKey = Buffer.from(parts.producerKey, 'hex');
    this.tokens = tokenStore(tokens, () => this.#checkOpen());
    this.cluster = new SingleNode(this, node.state.starts);
  }

  /**
   * Takes the data directory, reads what is there, and counts this start.
   *
   * @throws DATA_DIR_LOCKED; STORAGE_FAILED when something cannot be read, is damaged or is missing (its text names the file);
   *   STORAGE_FULL. Nothing is ever started empty because a file is gone.
   */
  static async open(options: EmbeddedOptions): Promise<EmbeddedCoordinator> {
    const directory = join(options.dataDir, 'coordination');
    await makeDirectory(topicsFolder(options.dataDir));
    const lock = DataDirLock.take(options.dataDir);
    try {
      await listStateFiles(directory);
      const reserve = await DiskReserve.open(directory, options.random);
      const topics = await openTopics(options.dataDir, reserve);
      const { node, tokens } = await openNodeFiles(directory, topics.length, options.random, reserve);
      const producerKey = node.state.producerKey ?? newProducerKey(options.random);
      await node.update((state) => ({ ...state, starts: state.starts + 1, producerKey }));
      return new EmbeddedCoordinator(options, { lock, reserve, node, producerKey, tokens, topics });
    } catch (error) {
      lock[Symbol.dispose]();
      throw error;
    }
  }

  topics(): readonly TopicDefinition[] {
    const definitions = [...this.#topics.values()].map((file) => file.state.definition);
    return definitions.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  topic(name: string): TopicDefinition | undefined {
    return this.#topics.get(name)?.state.definition;
  }

  async createTopic(topic: NewTopic): Promise<TopicDefinition> {
    checkAlone(topic.settings);
    return this.#exclusive(topic.name, async () => {
      if (this.#topics.has(topic.name)) {
        throw new SluiceError('TOPIC_EXISTS', `topic ${topic.name} exists already`);
      }
      const definition: TopicDefinition = {
        name: topic.name,
        id: this.#options.random.uuid(),
        partitions: topic.partitions,
        settings: topic.settings,
        createdMs: Math.floor(this.#options.clock.now()),
      };
      const ceilings = new Array<number>(topic.partitions).fill(0);
      const file = await StateFile.create<TopicState>(
        topicPath(this.#options.dataDir, topic.name),
        {
          definition,
          offsetCeilings: ceilings,
        },
        this.#reserve,
      );
      this.#keep(file);
      this.#tell({ kind: 'created', topic: definition });
      return definition;
    });
  }

  async alterTopic(name: string, alter: Alter): Promise<TopicDefinition> {
    return this.#exclusive(name, async () => {
      const { definition } = await this.#topic(name).update((state) => {
        const change = alterationOf(alter, state.definition);
        if (change.settings) checkAlone(change.settings);
        return altered(state, change);
      });
      this.#tell({ kind: 'altered', topic: definition });
      return definition;
    });
  }

  async deleteTopic(name: string): Promise<void> {
    await this.#exclusive(name, async () => {
      const file = this.#topic(name);
      const { definition } = file.state;
      // First out of sight, so that nothing writes the file again after it is gone.
      this.#forget(definition);
      try {
        await file.settled();
        await removeFile(topicPath(this.#options.dataDir, name));
      } catch (error) {
        this.#keep(file);
        throw error;
      }
      this.#tell({ kind: 'deleted', topic: definition });
    });
  }

  watchTopics(listener: (change: TopicChange) => void): Unwatch {
    this.#watchers.add(listener);
    return () => void this.#watchers.delete(listener);
  }

  async claimPartition(topicId: string, partition: number): Promise<PartitionClaim> {
    let firstOffset = 0;
    const file = this.#topicById(topicId);
    const { settings } = file.state.definition;
    if (settings.storage === 'disk') {
      const offsetCeiling = file.state.offsetCeilings[partition] ?? 0;
      return { leaderEpoch: this.#node.state.starts, firstOffset: 0, offsetCeiling };
    }
    const { offsetCeilings } = await file.update((state) => {
      firstOffset = state.offsetCeilings[partition] ?? 0;
      const next = (Math.floor(firstOffset / OFFSET_BLOCK) + 1) * OFFSET_BLOCK;
      return { ...state, offsetCeilings: state.offsetCeilings.with(partition, next) };
    });
    return { leaderEpoch: this.#node.state.starts, firstOffset, offsetCeiling: offsetCeilings[partition]! };
  }

  async reserveOffsets(topicId: string, partition: number, ceiling: number): Promise<void> {
    await this.#topicById(topicId).update((state) => ({
      ...state,
      offsetCeilings: state.offsetCeilings.with(partition, ceiling),
    }));
  }

  async allocateProducerId(): Promise<number> {
    this.#checkOpen();
    // Ids of a block that was never finished are lost, which costs nothing.
    while (this.#nextProducerId >= this.#node.state.producerIdCeiling) {
      const wanted = this.#nextProducerId + PRODUCER_ID_BLOCK;
      await this.#node.update((state) =>
        state.producerIdCeiling >= wanted ? state : { ...state, producerIdCeiling: wanted },
      );
    }
    return this.#nextProducerId++;
  }

  /** Waits for what is being written and lets go of the data directory. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.allSettled(this.#busy.values());
    const files = [this.#node, this.#tokens, ...this.#topics.values()];
    await Promise.all(files.map((file) => file.settled()));
    this.#watchers.clear();
    this.#lock[Symbol.dispose]();
  }

  /** One change of a topic after the other, so that none sees another's half. */
  async #exclusive<T>(name: string, work: () => Promise<T>): Promise<T> {
    this.#checkOpen();
    const previous = this.#busy.get(name) ?? Promise.resolve();
    const run = previous.then(work, work);
    this.#busy.set(name, run);
    try {
      return await run;
    } finally {
      if (this.#busy.get(name) === run) this.#busy.delete(name);
    }
  }

  #topic(name: string): StateFile<TopicState> {
    const file = this.#topics.get(name);
    if (!file) throw new SluiceError('TOPIC_NOT_FOUND', `there is no topic ${name}`);
    return file;
  }

  #topicById(id: string): StateFile<TopicState> {
    this.#checkOpen();
    const file = this.#topicsById.get(id);
    if (!file) throw new SluiceError('TOPIC_NOT_FOUND', `there is no topic with id ${id}`);
    return file;
  }

  #keep(file: StateFile<TopicState>): void {
    this.#topics.set(file.state.definition.name, file);
    this.#topicsById.set(file.state.definition.id, file);
  }

  #forget(definition: TopicDefinition): void {
    this.#topics.delete(definition.name);
    this.#topicsById.delete(definition.id);
  }

  #tell(change: TopicChange): void {
    for (const watcher of this.#watchers) watcher(change);
  }

  #checkOpen(): void {
    if (this.#closed) throw new SluiceError('UNAVAILABLE', 'the coordinator is closed');
  }
}

/** @throws INVALID_ARGUMENT for what only a cluster can keep */
function checkAlone({ replicationFactor = 1, minInsync = 1 }: Partial<TopicSettings>): void {
  if (replicationFactor <= 1 && minInsync <= 1) return;
  throw new SluiceError(
    'INVALID_ARGUMENT',
    'a node on its own keeps one copy of a topic: replicationFactor and minInsync above 1 need a cluster (cluster.etcd.endpoints)',
  );
}

async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw storageError(cause, `cannot create ${path}`);
  }
}
