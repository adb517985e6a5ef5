import { checkTopicName, isInternalTopic } from '../../catalog/topic-name.ts';
import type { TopicSettingsChange } from '../../catalog/topic-settings.ts';
import { TOPIC_PARTITIONS_LIMIT, mergeSettings } from '../../catalog/topic-settings.ts';
import type { TopicAlteration, TopicDefinition } from '../../coordination/coordinator.ts';
import type { Clock } from '../../kernel/clock.ts';
import { SluiceError, asSluiceError } from '../../kernel/errors.ts';
import type { AccessControl } from '../access-control.ts';
import { createOrFind } from './create-or-find.ts';
import type { TopicDescriber } from './describe-topic.ts';
import type { OpenTopic } from './open-topic.ts';
import type { Principal } from '../ports.ts';
import type { TopicDirectory } from './topic-directory.ts';
import type { TopicDefaults, TopicDescription, TopicMetadata } from '../views.ts';

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

/** What administration of topics takes. */
export interface TopicAdministrationParts {
  readonly directory: TopicDirectory;
  readonly describer: TopicDescriber;
  readonly access: AccessControl;
  readonly defaults: TopicDefaults;
  readonly clock: Clock;
}

/** Creating, changing, deleting and describing topics, for principals that may. */
export class TopicAdministration {
  readonly #directory: TopicDirectory;
  readonly #describer: TopicDescriber;
  readonly #access: AccessControl;
  readonly #defaults: TopicDefaults;
  readonly #clock: Clock;

  constructor({ directory, describer, access, defaults, clock }: TopicAdministrationParts) {
    this.#directory = directory;
    this.#describer = describer;
    this.#access = access;
    this.#defaults = defaults;
    this.#clock = clock;
  }

  /** @throws TOPIC_NOT_FOUND; why it cannot be used, when none of its partitions can be opened */
  require(name: string): OpenTopic {
    const topic = this.#directory.get(name);
    if (topic) return this.#usable(topic);
    throw notFound(name);
  }

  /**
   * A topic that somebody with the right to it begins to use, as {@link findOrCreate}.
   * @throws also why it cannot be used
   */
  use(name: string): OpenTopic | Promise<OpenTopic> {
    const found = this.findOrCreate(name);
    return found instanceof Promise ? found : this.#usable(found);
  }

  /**
   * A topic that somebody with the right to it begins to use: created with defaults where that is allowed, by whoever is first.
   * @throws INVALID_TOPIC, TOPIC_NOT_FOUND; the promise rejects with OVERLOADED, STORAGE_FULL, STORAGE_FAILED
   */
  findOrCreate(name: string): OpenTopic | Promise<OpenTopic> {
    const found = this.#directory.find(name);
    if (found) return found;
    checkTopicName(name);
    if (!this.#defaults.autoCreate || isInternalTopic(name)) throw notFound(name);
    const { partitions, settings } = this.#defaults;
    return createOrFind(this.#directory, this.#clock, { name, partitions, settings });
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
    if (names.length === 0) {
      return this.#visible(principal, false).map((topic) => this.#describer.metadata(topic));
    }
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
    if (existing) return this.#describe(this.#usable(await existing));
    const settings = mergeSettings(this.#defaults.settings, request.settings);
    const partitions = request.partitions ?? this.#defaults.partitions;
    this.#checkPartitions(partitions);
    return this.#describe(await this.#directory.create({ name, partitions, settings }));
  }

  async alter(principal: Principal, request: AlterTopic): Promise<TopicDescription> {
    this.#access.check(principal, 'admin', request.name);
    this.require(request.name);
    return this.#describe(await this.#directory.alter(request.name, (now) => this.#altered(request, now)));
  }

  async delete(principal: Principal, name: string): Promise<void> {
    this.#access.check(principal, 'admin', name);
    await this.#directory.delete(name);
  }

  list(principal: Principal, internal: boolean): Promise<readonly TopicDescription[]> {
    return this.#describer.describe(this.#visible(principal, internal));
  }

  async describe(principal: Principal, name: string): Promise<TopicDescription> {
    this.#access.checkMaySee(principal, name);
    const topic = this.#directory.get(name);
    if (!topic) throw notFound(name);
    return this.#describe(topic);
  }

  /** @throws INVALID_ARGUMENT when it cannot be altered like that as it is now */
  #altered({ name, partitions, settings: named }: AlterTopic, now: TopicDefinition): TopicAlteration {
    const settings = mergeSettings(now.settings, named);
    if (settings.storage !== now.settings.storage) {
      throw new SluiceError('INVALID_ARGUMENT', 'the storage of a topic cannot change; create another topic');
    }
    if (partitions === undefined) return { settings };
    this.#checkPartitions(partitions);
    if (isInternalTopic(name) && partitions !== now.partitions) {
      // What is kept there is found by the hash of its key.
      throw new SluiceError(
        'INVALID_ARGUMENT',
        'the partitions of a topic of the broker’s own stay as they are',
      );
    }
    return { partitions, settings };
  }

  async #metadataOf(principal: Principal, name: string, autoCreate: boolean): Promise<TopicMetadata> {
    try {
      this.#access.checkMaySee(principal, name);
      return this.#describer.metadata(autoCreate ? await this.use(name) : this.require(name));
    } catch (error) {
      const { code, message } = asSluiceError(error);
      return { name, error: { code, message }, partitions: [] };
    }
  }

  async #describe(topic: OpenTopic): Promise<TopicDescription> {
    const [description] = await this.#describer.describe([topic]);
    return description!;
  }

  #visible(principal: Principal, internal: boolean): OpenTopic[] {
    return [...this.#directory.all()]
      .filter(({ name }) => (internal || !isInternalTopic(name)) && this.#access.maySee(principal, name))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** @throws why none of its partitions can be opened */
  #usable(topic: OpenTopic): OpenTopic {
    const fault = this.#directory.leaders.fault(topic);
    if (fault) throw fault;
    return topic;
  }

  #checkPartitions(partitions: number): void {
    if (Number.isSafeInteger(partitions) && partitions >= 1 && partitions <= TOPIC_PARTITIONS_LIMIT) return;
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `${partitions} is not a number of partitions, which is 1 to ${TOPIC_PARTITIONS_LIMIT}`,
    );
  }
}

function notFound(name: string): SluiceError {
  return new SluiceError('TOPIC_NOT_FOUND', `there is no topic ${name}`);
}
