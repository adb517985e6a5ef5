import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { OneReader } from '../../src/broker/broker.ts';
import type { MemberBroker } from '../../src/broker/group-member.ts';
import { GroupMember } from '../../src/broker/group-member.ts';
import type { Principal } from '../../src/broker/ports.ts';
import type { AskOptions, GroupAnswer, GroupCase, GroupQuestionInit } from '../../src/groups/api.ts';
import type { OpenReader } from '../../src/groups/ports.ts';
import type { ErrorCode } from '../../src/kernel/errors.ts';
import { ERRORS, SluiceError } from '../../src/kernel/errors.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import type { PartitionReader } from '../../src/partition/reader.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { turns } from '../support/turns.ts';

const ALICE: Principal = { name: 'alice', kind: 'token', admin: false, rights: [] };

interface Waiting {
  readonly name: GroupCase;
  readonly question: Record<string, unknown>;
  readonly answer: (value: unknown) => void;
  readonly refuse: (code: ErrorCode) => void;
}

/** A broker that keeps every question until the test answers it. */
class ScriptedBroker implements MemberBroker {
  readonly waiting: Waiting[] = [];
  readonly closed: string[] = [];
  readonly opened: string[] = [];
  /** Codes that the next attempts to open a reader are refused with. */
  readonly refusals: ErrorCode[] = [];
  /** Readers are opened no sooner. */
  opening: Promise<void> = Promise.resolve();
  readonly groups = {
    ask: <C extends GroupCase>(
      _principal: Principal,
      name: C,
      question: GroupQuestionInit<C>,
      { signal }: AskOptions = {},
    ): Promise<GroupAnswer<C>> =>
      new Promise((resolve, reject) => {
        const refuse = (code: ErrorCode): void => reject(new SluiceError(code, code));
        signal?.addEventListener('abort', () => refuse('CANCELLED'));
        this.waiting.push({
          ...{ name, refuse, question },
          answer: (value) => resolve(value as never),
        });
      }),
  };

  openReader(_principal: Principal, { topic, partition, start }: OneReader): Promise<OpenReader> {
    const code = this.refusals.shift();
    if (code) return Promise.reject(new SluiceError(code, code));
    const place = `${topic}/${partition}`;
    this.opened.push(`${place} ${start.at === 'offset' ? start.offset : start.at}`);
    const reader = { topic, partition } as PartitionReader;
    return this.opening.then(() => ({ reader, close: () => void this.closed.push(place) }));
  }

  /** The one question that waits, which must have that name. */
  async next(name: GroupCase): Promise<Waiting> {
    await turns();
    expect(this.waiting.map((each) => each.name)).toEqual([name]);
    return this.waiting.pop()!;
  }
}

const assigned = (generation: number, ...places: readonly [partition: number, offset: number][]) => ({
  generation,
  assigned: places.map(([partition, offset]) => ({ topic: 'orders', partition, offset: BigInt(offset) })),
});
const DONE = { results: [{ errorCode: 0, errorMessage: '' }] };

describe('member of a group', () => {
  let clock: FakeClock;
  let broker: ScriptedBroker;
  let told: string[];
  let member: GroupMember;
  const join = (instanceId?: string): GroupMember => {
    member = GroupMember.join(
      {
        ...{ broker, clock, random: systemRandom, principal: ALICE },
        listener: {
          assigned: ({ topic, partition }) => told.push(`+${topic}/${partition}`),
          revoked: ({ topic, partition }) => told.push(`-${topic}/${partition}`),
          ended: ({ code }) => told.push(code),
        },
      },
      {
        group: 'g',
        filters: ['orders'],
        start: { at: { case: 'earliest', value: true } },
        clientId: 'c',
        instanceId,
      },
    );
    return member;
  };
  const close = async (): Promise<void> => {
    const closing = member.close();
    for (let turn = 0; turn < 5; turn++) {
      await turns();
      clock.advance(3_000);
    }
    await closing;
  };

  beforeEach(() => {
    clock = new FakeClock();
    broker = new ScriptedBroker();
    told = [];
  });
  afterEach(close);

  it('reads what it is assigned from where the group has come to, and says that it owns it', async () => {
    join();
    const first = await broker.next('joinGroup');
    expect(first.question).toMatchObject({ group: 'g', generation: 0, owned: [], sessionTimeoutMs: 10_000 });
    first.answer(assigned(7, [0, 40], [2, 0]));
    const second = await broker.next('joinGroup');
    expect(second.question).toMatchObject({
      ...{ memberId: first.question['memberId'], generation: 7 },
      owned: [
        { topic: 'orders', partition: 0 },
        { topic: 'orders', partition: 2 },
      ],
    });
    expect([told, broker.opened]).toEqual([
      ['+orders/0', '+orders/2'],
      ['orders/0 40', 'orders/2 0'],
    ]);
  });

  it('gives up what is taken from it, after its commits, and leaves the rest alone', async () => {
    join();
    (await broker.next('joinGroup')).answer(assigned(1, [0, 0], [1, 0]));
    const asked = await broker.next('joinGroup');
    const committing = member.commit([{ topic: 'orders', partition: 1, offset: 5 }]);
    const commit = await broker.next('commitOffsets');
    asked.answer(assigned(2, [0, 0]));
    await turns();
    expect([told.at(-1), broker.closed, broker.waiting]).toEqual(['-orders/1', ['orders/1'], []]);
    commit.answer(DONE);
    await committing;
    expect((await broker.next('joinGroup')).question).toMatchObject({
      owned: [{ topic: 'orders', partition: 0 }],
    });
  });

  it('asks again when the coordinator cannot be reached, and goes on meanwhile', async () => {
    join();
    (await broker.next('joinGroup')).answer(assigned(3, [0, 0]));
    (await broker.next('joinGroup')).refuse('NOT_LEADER');
    await turns();
    expect(broker.waiting).toEqual([]);
    clock.advance(2_000);
    expect((await broker.next('joinGroup')).question).toMatchObject({ generation: 3 });
    expect(told).toEqual(['+orders/0']);
  });

  it('gives up all and joins anew when its group does not know it any more', async () => {
    join();
    (await broker.next('joinGroup')).answer(assigned(3, [0, 9]));
    const asked = await broker.next('joinGroup');
    const late = member
      .commit([{ topic: 'orders', partition: 0, offset: 10 }])
      .catch((error: unknown) => error);
    await broker.next('commitOffsets');
    asked.refuse('UNKNOWN_MEMBER');
    expect(await late).toMatchObject({ code: 'UNKNOWN_MEMBER' });
    expect([told.at(-1), broker.closed]).toEqual(['-orders/0', ['orders/0']]);
    clock.advance(100);
    const again = await broker.next('joinGroup');
    expect(again.question).toMatchObject({ generation: 0, owned: [] });
    again.answer(assigned(4, [0, 9]));
    await broker.next('joinGroup');
    expect(told).toEqual(['+orders/0', '-orders/0', '+orders/0']);
  });

  it('ends where another has taken its place under the same name', async () => {
    join('desk-1');
    (await broker.next('joinGroup')).answer(assigned(3, [0, 0]));
    (await broker.next('joinGroup')).refuse('UNKNOWN_MEMBER');
    await turns();
    expect(told).toEqual(['+orders/0', '-orders/0', 'UNKNOWN_MEMBER']);
    clock.advance(10_000);
    expect(broker.waiting).toEqual([]);
  });

  it.each(['FORBIDDEN', 'DRAINING', 'INVALID_ARGUMENT'] as const)(
    'ends when it is refused with %s',
    async (code) => {
      join();
      (await broker.next('joinGroup')).refuse(code);
      await turns();
      expect(told).toEqual([code]);
      await expect(member.commit([])).rejects.toMatchObject({ code });
    },
  );

  it('reads no longer than its session timeout when nobody answers, and goes on where the group is then', async () => {
    join();
    (await broker.next('joinGroup')).answer(assigned(3, [0, 9]));
    const asked = await broker.next('joinGroup');
    const committing = member.commit([{ topic: 'orders', partition: 0, offset: 12 }]);
    const commit = await broker.next('commitOffsets');
    clock.advance(9_999);
    await turns();
    expect([told, broker.closed]).toEqual([['+orders/0'], []]);
    clock.advance(1);
    await turns();
    expect([told, broker.closed]).toEqual([['+orders/0', '-orders/0'], ['orders/0']]);
    asked.refuse('UNAVAILABLE');
    await turns();
    clock.advance(100);
    // Its group may know it yet, and what was committed may count.
    const again = await broker.next('joinGroup');
    expect(again.question).toMatchObject({ generation: 3, owned: [], maxWaitMs: 0 });
    commit.answer(DONE);
    await committing;
    again.answer(assigned(3, [0, 12]));
    expect((await broker.next('joinGroup')).question).toMatchObject({ owned: [{ partition: 0 }] });
    expect([told.at(-1), broker.opened.at(-1)]).toEqual(['+orders/0', 'orders/0 12']);
  });

  it('joins anew under its name when its group has given it up because nothing was heard', async () => {
    join('desk-1');
    (await broker.next('joinGroup')).answer(assigned(3, [0, 9]));
    const asked = await broker.next('joinGroup');
    clock.advance(10_000);
    asked.refuse('UNKNOWN_MEMBER');
    await turns();
    clock.advance(100);
    expect((await broker.next('joinGroup')).question).toMatchObject({ generation: 0, instanceId: 'desk-1' });
  });

  it('does not take an answer for new that came when its session had ended', async () => {
    join();
    (await broker.next('joinGroup')).answer(assigned(3, [0, 9]));
    const asked = await broker.next('joinGroup');
    // The process is stopped: no timer runs.
    clock.stall(60_000);
    asked.answer(assigned(3, [0, 9]));
    const again = await broker.next('joinGroup');
    expect([told, again.question]).toMatchObject([['+orders/0', '-orders/0'], { owned: [], maxWaitMs: 0 }]);
  });

  it('closes its readers at once when it leaves, whatever it waits for', async () => {
    join();
    (await broker.next('joinGroup')).answer(assigned(1, [0, 0], [1, 0]));
    const asked = await broker.next('joinGroup');
    void member.commit([{ topic: 'orders', partition: 1, offset: 5 }]);
    await broker.next('commitOffsets');
    asked.answer(assigned(2, [0, 0]));
    await turns();
    const closing = member.close();
    expect(broker.closed).toEqual(['orders/1', 'orders/0']);
    await turns();
    clock.advance(2_000);
    (await broker.next('leaveGroup')).answer({});
    await closing;
  });

  it('keeps its heartbeat while a partition cannot be opened', async () => {
    broker.refusals.push('NOT_LEADER', 'UNAVAILABLE');
    join();
    (await broker.next('joinGroup')).answer(assigned(1, [0, 8]));
    const asked = await broker.next('joinGroup');
    expect(asked.question).toMatchObject({ owned: [{ topic: 'orders', partition: 0 }] });
    for (let turn = 0; turn < 3; turn++) {
      clock.advance(2_000);
      await turns();
    }
    expect([told, broker.opened]).toEqual([['+orders/0'], ['orders/0 8']]);
  });

  it('does not read a partition that was opened while it was given up', async () => {
    const opening = Promise.withResolvers<undefined>();
    broker.opening = opening.promise;
    join();
    (await broker.next('joinGroup')).answer(assigned(1, [0, 0]));
    const asked = await broker.next('joinGroup');
    void member.commit([{ topic: 'orders', partition: 0, offset: 1 }]);
    const commit = await broker.next('commitOffsets');
    asked.answer(assigned(2));
    await turns();
    opening.resolve(undefined);
    await turns();
    expect([told, broker.closed]).toEqual([[], ['orders/0']]);
    commit.answer(DONE);
    await broker.next('joinGroup');
  });

  it.each(['TOPIC_NOT_FOUND', 'PARTITION_NOT_FOUND'] as const)(
    'reads a partition of which its node hears later than its coordinator (%s)',
    async (code) => {
      broker.refusals.push(code);
      join();
      (await broker.next('joinGroup')).answer(assigned(1, [0, 8]));
      await broker.next('joinGroup');
      clock.advance(2_000);
      await turns();
      expect([told, broker.opened]).toEqual([['+orders/0'], ['orders/0 8']]);
    },
  );

  it('begins with the oldest record where the records it had come to are lost', async () => {
    broker.refusals.push('OFFSET_OUT_OF_RANGE');
    join();
    (await broker.next('joinGroup')).answer(assigned(1, [0, 8]));
    await turns();
    expect(broker.opened).toEqual(['orders/0 earliest']);
  });

  it('ends when it may not read what it is assigned', async () => {
    broker.refusals.push('FORBIDDEN');
    join();
    (await broker.next('joinGroup')).answer(assigned(1, [0, 8]));
    await turns();
    expect(told).toEqual(['FORBIDDEN']);
  });

  it('sends commits one at a time, the newest of each partition', async () => {
    join();
    (await broker.next('joinGroup')).answer(assigned(1, [0, 0]));
    await broker.next('joinGroup');
    const done = [1, 2].map((offset) => member.commit([{ topic: 'orders', partition: 0, offset }]));
    const first = await broker.next('commitOffsets');
    expect(first.question['offsets']).toEqual([{ topic: 'orders', partition: 0, offset: 2n }]);
    for (let offset = 3; offset < 100; offset++)
      done.push(member.commit([{ topic: 'orders', partition: 0, offset }]));
    await turns();
    expect(broker.waiting).toEqual([]);
    first.answer(DONE);
    const second = await broker.next('commitOffsets');
    expect(second.question['offsets']).toEqual([{ topic: 'orders', partition: 0, offset: 99n }]);
    second.answer(DONE);
    await Promise.all(done);
  });

  it('says which commit was refused', async () => {
    join();
    const asked = await broker.next('joinGroup');
    const late = member
      .commit([{ topic: 'orders', partition: 0, offset: 1 }])
      .catch((error: unknown) => error);
    const results = [{ errorCode: ERRORS.STALE_GENERATION.wire, errorMessage: 'late' }];
    (await broker.next('commitOffsets')).answer({ results });
    expect(await late).toMatchObject({ code: 'STALE_GENERATION' });
    broker.waiting.push(asked);
  });

  it('commits again when the coordinator cannot be reached', async () => {
    join();
    await broker.next('joinGroup');
    const done = member.commit([{ topic: 'orders', partition: 0, offset: 1 }]);
    (await broker.next('commitOffsets')).refuse('NOT_LEADER');
    await turns();
    clock.advance(100);
    (await broker.next('commitOffsets')).answer(DONE);
    await done;
  });

  it('commits late in the generation in which it was said, not in one in which the partition is its own again', async () => {
    join();
    (await broker.next('joinGroup')).answer(assigned(1, [0, 0]));
    const heartbeat = await broker.next('joinGroup');
    const done = member.commit([{ topic: 'orders', partition: 0, offset: 1 }]);
    done.catch(() => undefined);
    await turns();
    broker.waiting.pop()!.refuse('UNAVAILABLE');
    heartbeat.answer(assigned(2));
    await turns();
    const late = member.commit([{ topic: 'orders', partition: 0, offset: 2 }]);
    late.catch(() => undefined);
    // Giving up does not wait longer for it.
    clock.advance(3_400);
    await turns();
    const names = broker.waiting.map(({ name, question }) => [name, question['generation']]);
    expect(names).toContainEqual(['commitOffsets', 1]);
    broker.waiting.splice(0).forEach(({ name, answer }) => {
      answer(name === 'joinGroup' ? assigned(3, [0, 9]) : DONE);
    });
    await turns();
    const last = broker.waiting.find(({ name }) => name === 'commitOffsets');
    expect(last?.question).toMatchObject({ generation: 2, offsets: [{ offset: 2n }] });
  });

  it('leaves when it is closed, after its commits', async () => {
    join('desk-1');
    (await broker.next('joinGroup')).answer(assigned(1, [0, 0]));
    await broker.next('joinGroup');
    void member.commit([{ topic: 'orders', partition: 0, offset: 1 }]);
    const closing = member.close();
    (await broker.next('commitOffsets')).answer(DONE);
    const leaving = await broker.next('leaveGroup');
    expect(leaving.question).toMatchObject({ group: 'g', returning: true });
    leaving.answer({});
    await closing;
    expect([broker.closed, told]).toEqual([['orders/0'], ['+orders/0']]);
  });
});
