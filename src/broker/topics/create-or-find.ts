import type { Clock } from '../../kernel/clock.ts';
import { delay } from '../../kernel/clock.ts';
import { SluiceError } from '../../kernel/errors.ts';
import type { OpenTopic } from './open-topic.ts';
import type { TopicDirectory } from './topic-directory.ts';

/** How long a node may take to hear of a topic that another one has made, and how often it looks meanwhile, milliseconds. */
const HEAR_OF_IT_MS = 5000;
const LOOK_AGAIN_MS = 50;

/**
 * Makes a topic, or takes the one that somebody else, here or on another node, has made meanwhile.
 * @throws as `TopicDirectory.create`; TOPIC_EXISTS when this node does not hear of that one within five seconds
 */
export async function createOrFind(
  directory: TopicDirectory,
  clock: Clock,
  topic: Parameters<TopicDirectory['create']>[0],
): Promise<OpenTopic> {
  const untilMs = clock.monotonicMs() + HEAR_OF_IT_MS;
  for (;;) {
    try {
      return await directory.create(topic);
    } catch (error) {
      if (!(error instanceof SluiceError) || error.code !== 'TOPIC_EXISTS') throw error;
      const found = directory.find(topic.name);
      if (found) return found;
      if (clock.monotonicMs() >= untilMs) throw error;
    }
    await delay(clock, LOOK_AGAIN_MS);
  }
}
