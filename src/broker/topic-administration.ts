import { checkTopicName, isInternalTopic } from '../catalog/topic-name.ts';
import type { TopicSettingsChange } from '../catalog/topic-settings.ts';
import { TOPIC_PARTITIONS_LIMIT, mergeSettings } from '../catalog/topic-settings.ts';
import type { Coordinator } from '../coordination/coordinator.ts';
import { SluiceError, asSluiceError } from '../kernel/errors.ts';
import type { AccessControl } from './access-control.ts';
import { describeFailed, describeOpen } from './describe-topic.ts';
import type { FailedTopic } from './failed-topics.ts';
import type { OpenTopic } from './open-topic.ts';
import type { Principal } from './ports.ts';
import type { TopicDirectory } from './topic-directory.ts';
import type { TopicDefaults, TopicDescription, TopicMetadata } from './views.ts';

/** Topics that one request may name: each takes a look at all rules, and an answer. */
const METADATA_MAX_NAMES = 1000;

/** A topic to be made; what is left out takes the default. */
export interface NewTopicRequest {
  readonly name: string;
  readonly partitions?: number | undefined;
  readonly settings?: TopicSettingsChange | undefined;
  /** A topic that exists already is the answer and no error. */
  readonly ifNotExists?: boolean | undefined;
}

/** A topic to be changed; what is left out stays. */
export type AlterTopic = Omit<NewTopicRequest, 'ifNotExists'>;

/** Creating, changing, deleting and describing topics, for principals that may. */
export class TopicAdministration {
  readonly #directory: TopicDirectory;
  readonly #access: AccessControl;
  readonly #defaults: TopicDefaults;
  readonly #coordinator: Coordinator;

  constructor(
    directory: TopicDirectory,
    access: AccessControl,
    defaults: TopicDefaults,
    coordinator: Coordinator,
  ) {
    this.#directory = directory;
    this.#access = access;
    this.#defaults = defaults;
    this.#coordinator = coordinator;
  }

  /** @throws TOPIC_NOT_FOUND unless it is open; why it is not, when it could not be opened */
  require(name: string): OpenTopic {
    const open = this.#directory.get(name);
    if (open) return open;
    throw this.#directory.failed.get(name)?.error ?? notFound(name);
  }

  /**
   * A topic that somebody with the right to it begins to use: created with defaults where that is allowed.
   * @throws INVALID_TOPIC, TOPIC_NOT_FOUND; the promise rejects with OVERLOADED, STORAGE_FULL, STORAGE_FAILED
   */
  findOrCreate(name: string): OpenTopic | Promise<OpenTopic> {
    const found = this.#directory.find(name);
    if (found) return found;
    checkTopicName(name);
    if (!this.#defaults.autoCreate || isInternalTopic(name)) throw notFound(name);
    const { partitions, settings } = this.#defaults;
    return this.#directory.create({ name, partitions, settings });
  }

  /**
   * Never rejects because of one topic: its entry says why it has no metadata.
   * @throws INVALID_ARGUMENT for more than {@link METADATA_MAX_NAMES} names
   */
  async metadata(
    principal: Principal,
    names: readonly string[],
    autoCreate: boolean,
  ): Promise<readonly TopicMetadata[]> {
    if (names.length === 0) return this.list(principal, false).map(toMetadata);
    // A name that is repeated is answered once: small requests must not make large answers.
    const wanted = [...new Set(names)];
    if (wanted.length > METADATA_MAX_NAMES) {
      throw new SluiceError(
        'INVALID_ARGUMENT',
        `${wanted.length} topics; at most ${METADATA_MAX_NAMES} in a request`,
      );
    }
    return Promise.all(wanted.map((name) => this.#metadataOf(principal, name, autoCreate)));
  }

  async create(principal: Principal, request: NewTopicRequest): Promise<TopicDescription> {
    const { name } = request;
    checkTopicName(name);
    if (isInternalTopic(name))
      throw new SluiceError('INVALID_TOPIC', 'topics beginning with __ are the broker’s own');
    this.#access.check(principal, 'admin', name);
    const existing = request.ifNotExists ? this.#directory.find(name) : undefined;
    if (existing) return this.#describe(await existing);
    const settings = mergeSettings(this.#defaults.settings, request.settings);
    const partitions = request.partitions ?? this.#defaults.partitions;
    this.#checkPartitions(partitions);
    return this.#describe(await this.#directory.create({ name, partitions, settings }));
  }

  async alter(principal: Principal, request: AlterTopic): Promise<TopicDescription> {
    this.#access.check(principal, 'admin', request.name);
    const { definition } = this.require(request.name);
    const settings = mergeSettings(definition.settings, request.settings);
    if (settings.storage !== definition.settings.storage) {
      throw new SluiceError('INVALID_ARGUMENT', 'the storage of a topic cannot change; create another topic');
    }
    const partitions = request.partitions ?? definition.partitions;
    this.#checkPartitions(partitions);
    return this.#describe(await this.#directory.alter(request.name, { partitions, settings }));
  }

  async delete(principal: Principal, name: string): Promise<void> {
    this.#access.check(principal, 'admin', name);
    await this.#directory.delete(name);
  }

  list(principal: Principal, internal: boolean): readonly TopicDescription[] {
    const mayList = (name: string) =>
      (internal || !isInternalTopic(name)) && this.#access.maySee(principal, name);
    const open = [...this.#directory.all()].filter(({ name }) => mayList(name));
    const failed = this.#directory.failed.all().filter(({ definition }) => mayList(definition.name));
    return [
      ...open.map((topic) => this.#describe(topic)),
      ...failed.map((topic) => this.#describeFailed(topic)),
    ].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  describe(principal: Principal, name: string): TopicDescription {
    this.#access.checkMaySee(principal, name);
    const failed = this.#directory.failed.get(name);
    return failed ? this.#describeFailed(failed) : this.#describe(this.require(name));
  }

  async #metadataOf(principal: Principal, name: string, autoCreate: boolean): Promise<TopicMetadata> {
    try {
      this.#access.checkMaySee(principal, name);
      return toMetadata(this.#describe(autoCreate ? await this.findOrCreate(name) : this.require(name)));
    } catch (error) {
      const { code, message } = asSluiceError(error);
      return { name, error: { code, message }, partitions: [] };
    }
  }

  #describe(topic: OpenTopic): TopicDescription {
    return describeOpen(topic.definition, topic.partitions, this.#coordinator.cluster);
  }

  #describeFailed({ definition, error }: FailedTopic): TopicDescription {
    return describeFailed(definition, error, this.#coordinator.cluster);
  }

  #checkPartitions(partitions: number): void {
    if (Number.isSafeInteger(partitions) && partitions >= 1 && partitions <= TOPIC_PARTITIONS_LIMIT) return;
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `${partitions} is not a number of partitions, which is 1 to ${TOPIC_PARTITIONS_LIMIT}`,
    );
  }
}

function toMetadata(topic: TopicDescription): TopicMetadata {
  const partitions = topic.partitions.map(({ partition, leaderNodeId, leaderEpoch }) => ({
    partition,
    leaderNodeId,
    leaderEpoch,
  }));
  return { name: topic.name, error: topic.error, partitions };
}

function notFound(name: string): SluiceError {
  return new SluiceError('TOPIC_NOT_FOUND', `there is no topic ${name}`);
}
