import type { Alter, TopicAlteration, TopicDefinition } from './coordinator.ts';

/** What an alteration is for a topic as it is `now`. @throws what it is refused with */
export function alterationOf(alter: Alter, now: TopicDefinition): TopicAlteration {
  return typeof alter === 'function' ? alter(now) : alter;
}
