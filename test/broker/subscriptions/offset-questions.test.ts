import { describe, expect, it } from 'vitest';
import type { Answer, TopicPartition } from '../../../src/broker/leader-questions.ts';
import { OffsetQuestions } from '../../../src/broker/subscriptions/offset-questions.ts';
import type { OpenTopic } from '../../../src/broker/topics/open-topic.ts';
import { SluiceError } from '../../../src/kernel/errors.ts';
import type { Asker } from '../../../src/kernel/slots.ts';
import { turns } from '../../support/turns.ts';

const place = (index: number): TopicPartition => {
  const topic: unknown = { definition: { id: 't' } };
  return { topic: topic as OpenTopic, index };
};
const AT = { at: 'timestamp', timestampMs: 5 } as const;

/** Answers 7 in a few turns, CANCELLED when nobody waits any more. */
function questions(): OffsetQuestions {
  const offsets = async (
    places: readonly TopicPartition[],
    _at: unknown,
    asker?: Asker,
  ): Promise<Answer<number>[]> => {
    await turns();
    return places.map(() => (asker?.gone.aborted ? new SluiceError('CANCELLED', 'gone') : 7));
  };
  return new OffsetQuestions({ offsets }, { elsewhere: () => undefined });
}

describe('a search for a time that somebody has left before it was asked', () => {
  it.each([
    ['the same', 0],
    ['another partition of the same leader', 1],
  ])('is made for who asks for %s', async (_name, index) => {
    const asked = questions();
    const gone = new AbortController();
    const left = asked.ask(place(0), AT, { gone: gone.signal });
    gone.abort();
    const stays = asked.ask(place(index), AT, { gone: new AbortController().signal });
    expect(await stays).toBe(7);
    expect(await left).toSatisfy((answer) => answer === 7 || answer instanceof SluiceError);
  });

  it('is given up when nobody waits any more', async () => {
    const asked = questions();
    const [one, other] = [new AbortController(), new AbortController()];
    const answers = [one, other].map(({ signal }) => asked.ask(place(0), AT, { gone: signal }));
    await Promise.resolve();
    one.abort();
    other.abort();
    for (const answer of await Promise.all(answers)) expect(answer).toMatchObject({ code: 'CANCELLED' });
  });
});
