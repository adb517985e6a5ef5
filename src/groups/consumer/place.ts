import { quoted } from '../../catalog/topic-name.ts';
import { SluiceError } from '../../kernel/errors.ts';
import type { TopicFacts, Topics } from '../ports.ts';

/** One partition of one topic. There is one object for each, so that maps are keyed by it: see {@link Places}. */
export interface Place {
  readonly topic: string;
  /** A topic that was deleted and made again has another, and so other places. */
  readonly topicId: string;
  readonly partition: number;
}

/** All places that the groups of one coordinator know. */
export class Places {
  readonly #byTopicId = new Map<string, Place[]>();

  /** The one object of a partition. */
  of(topicId: string, topic: string, partition: number): Place {
    let places = this.#byTopicId.get(topicId);
    if (!places) this.#byTopicId.set(topicId, (places = []));
    return (places[partition] ??= { topic, topicId, partition });
  }

  /** Those of a topic as it is now, in order. */
  all({ id, name, partitions }: TopicFacts): Place[] {
    return Array.from({ length: partitions }, (_, partition) => this.of(id, name, partition));
  }

  /** A topic is gone, and nobody keeps a place of it any more. */
  forget(topicId: string): void {
    this.#byTopicId.delete(topicId);
  }
}

/** @throws TOPIC_NOT_FOUND, PARTITION_NOT_FOUND */
export function findPlace(topics: Topics, places: Places, topic: string, partition: number): Place {
  const facts = topics.find(topic);
  if (!facts) throw new SluiceError('TOPIC_NOT_FOUND', `there is no topic ${quoted(topic)}`);
  if (partition >= facts.partitions) {
    throw new SluiceError('PARTITION_NOT_FOUND', `${topic} has ${facts.partitions} partitions`);
  }
  return places.of(facts.id, facts.name, partition);
}
