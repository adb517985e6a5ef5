import { describe, expect, it } from 'vitest';
import type { Leaders } from '../../src/broker/topics/leaders.ts';
import type { OpenTopic } from '../../src/broker/topics/open-topic.ts';
import type { PublishOutcome } from '../../src/broker/publisher.ts';
import { Publisher } from '../../src/broker/publisher.ts';
import { SluiceError } from '../../src/kernel/errors.ts';
import { turns } from '../support/turns.ts';

const MiB = 1024 * 1024;

describe('publishes that wait for topics to be created', () => {
  it('are bounded all together, whatever their topics, and make room once they are answered', async () => {
    const creating = Promise.withResolvers<never>();
    const publisher = new Publisher({
      find: () => creating.promise,
      leaders: {} as unknown as Leaders,
      others: undefined,
      inflatedMaxBytes: MiB,
    });
    const told: string[] = [];
    const publish = (topic: string): void => {
      const done = (outcome: PublishOutcome | SluiceError): void => {
        told.push(`${topic} ${outcome instanceof SluiceError ? outcome.code : outcome.kind}`);
      };
      publisher.publish(topic, { partition: 0, batch: Buffer.alloc(15 * MiB), acks: 1, done });
    };
    for (const topic of ['a', 'b', 'c']) publish(topic);
    expect(told).toEqual(['c OVERLOADED']);
    creating.reject(new SluiceError('TOPIC_NOT_FOUND', 'not to be had'));
    await turns(5);
    publish('d');
    publish('e');
    await turns(5);
    expect(told.slice(1)).toEqual(['a', 'b', 'd', 'e'].map((topic) => `${topic} TOPIC_NOT_FOUND`));
  });

  it('keep nothing in memory but themselves', async () => {
    const published: Buffer[] = [];
    const copy = { role: 'leader', publish: (batch: Buffer) => published.push(batch) };
    const topic = { checkIndex: (index: number) => index, copy: () => copy } as unknown as OpenTopic;
    const publisher = new Publisher({
      find: () => Promise.resolve(topic),
      leaders: {} as unknown as Leaders,
      others: undefined,
      inflatedMaxBytes: MiB,
    });
    const slab = Buffer.alloc(64 * 1024, 7);
    const small = slab.subarray(100, 300);
    const large = Buffer.alloc(MiB);
    for (const batch of [small, large])
      publisher.publish('a', { partition: 0, batch, acks: 1, done: () => undefined });
    await turns(5);
    expect(published.map((batch) => batch.buffer)).not.toContain(slab.buffer);
    expect([published[0]!.equals(small), published[1] === large]).toEqual([true, true]);
  });
});
