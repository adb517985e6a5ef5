import { parseFilter } from '../catalog/topic-filter.ts';
import { checkTopicName, isInternalTopic } from '../catalog/topic-name.ts';
import type { Coordinator } from '../coordination/coordinator.ts';
import type { OpenReader, PublishedAt, TopicFacts, Topics } from '../groups/ports.ts';
import type { Clock } from '../kernel/clock.ts';
import { SluiceError } from '../kernel/errors.ts';
import type { Start } from '../partition/reader.ts';
import { BROKER_ITSELF } from './access-control.ts';
import { createOrFind } from './topics/create-or-find.ts';
import type { Answer, LeaderQuestions } from './leader-questions.ts';
import { OffsetQuestions } from './subscriptions/offset-questions.ts';
import { openOnePartition } from './subscriptions/one-partition.ts';
import type { OpenTopic } from './topics/open-topic.ts';
import type { ProducerIds } from './producer-ids.ts';
import type { Publisher } from './publisher.ts';
import type { Subscriptions } from './subscriptions/subscriptions.ts';
import type { TopicAdministration } from './topics/topic-administration.ts';
import type { TopicDirectory } from './topics/topic-directory.ts';

const EARLIEST: Start = { at: 'earliest' };
const LATEST: Start = { at: 'latest' };
/** When all in-sync replicas have it. */
const ACKS_ALL = 2;
/** Shown as the name of the subscription. */
const READER_NAME = 'queue';

/** What the topics of groups are made of. */
export interface GroupTopicsParts {
  readonly coordinator: Pick<Coordinator, 'watchTopics' | 'allocateProducerId'>;
  readonly directory: TopicDirectory;
  readonly administration: Pick<TopicAdministration, 'findOrCreate'>;
  readonly questions: LeaderQuestions;
  readonly subscriptions: Subscriptions;
  readonly publisher: Publisher;
  readonly producerIds: ProducerIds;
  readonly clock: Clock;
}

/** The topics of a broker as its own coordinators use them. */
export class GroupTopics implements Topics {
  readonly #parts: GroupTopicsParts;
  readonly #offsets: OffsetQuestions;

  constructor(parts: GroupTopicsParts) {
    this.#parts = parts;
    this.#offsets = new OffsetQuestions(parts.questions, parts.directory.leaders);
  }

  find(name: string): TopicFacts | undefined {
    const topic = this.#parts.directory.get(name);
    return topic && factsOf(topic);
  }

  all(): readonly TopicFacts[] {
    return [...this.#parts.directory.all()].filter(({ name }) => !isInternalTopic(name)).map(factsOf);
  }

  watch(listener: (name: string) => void): () => void {
    // The directory has watched for longer, so it knows.
    return this.#parts.coordinator.watchTopics(({ topic }) => listener(topic.name));
  }

  async findOrCreate(name: string): Promise<TopicFacts> {
    return factsOf(await this.#parts.administration.findOrCreate(name));
  }

  async ensureLike(name: string, like: string): Promise<TopicFacts> {
    const { directory } = this.#parts;
    const found = directory.find(name);
    if (found) return factsOf(await found);
    checkTopicName(name);
    const { partitions, settings } = this.#require(like).definition;
    return factsOf(await createOrFind(directory, this.#parts.clock, { name, partitions, settings }));
  }

  async offsetAt(topic: string, partition: number, start: Start): Promise<number> {
    return known(await this.#offsets.ask(this.#place(topic, partition), start));
  }

  starts(topic: string, partitions: readonly number[]): Promise<readonly number[]> {
    return this.#offsetsOf(topic, partitions, EARLIEST);
  }

  ends(topic: string, partitions: readonly number[]): Promise<readonly number[]> {
    return this.#offsetsOf(topic, partitions, LATEST);
  }

  async openReader(topic: string, partition: number, start: Start): Promise<OpenReader> {
    const { directory, subscriptions, clock } = this.#parts;
    this.#place(topic, partition);
    const filter = parseFilter(topic);
    return openOnePartition(
      async (subscriber) =>
        subscriptions.open(
          {
            ...{ principal: BROKER_ITSELF, filter, start, resume: [], subscriber },
            partitions: new Set([partition]),
          },
          directory.all(),
        ),
      clock,
      READER_NAME,
    );
  }

  async initProducer(): Promise<number> {
    const { coordinator, producerIds } = this.#parts;
    return producerIds.bind(await coordinator.allocateProducerId(), BROKER_ITSELF);
  }

  publish(topic: string, partition: number, batch: Buffer): Promise<PublishedAt> {
    return new Promise((resolve, reject) => {
      this.#parts.publisher.publish(topic, {
        ...{ partition, batch, acks: ACKS_ALL },
        done: (outcome) => {
          if (outcome instanceof SluiceError) reject(outcome);
          else resolve({ kind: outcome.kind, baseOffset: outcome.baseOffset });
        },
      });
    });
  }

  async #offsetsOf(topic: string, partitions: readonly number[], start: Start): Promise<readonly number[]> {
    const places = partitions.map((index) => this.#place(topic, index));
    return (await this.#parts.questions.offsets(places, start)).map(known);
  }

  #place(topic: string, index: number): { readonly topic: OpenTopic; readonly index: number } {
    const open = this.#require(topic);
    return { topic: open, index: open.checkIndex(index) };
  }

  #require(name: string): OpenTopic {
    const topic = this.#parts.directory.get(name);
    if (topic) return topic;
    throw new SluiceError('TOPIC_NOT_FOUND', `there is no topic ${name}`);
  }
}

function factsOf({ definition: { id, name, partitions } }: OpenTopic): TopicFacts {
  return { id, name, partitions };
}

function known(answer: Answer<number>): number {
  if (typeof answer === 'number') return answer;
  throw answer;
}
