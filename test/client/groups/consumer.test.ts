import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { GroupConsumer } from '../../../src/client/groups/consumer.ts';
import type { ReceivedRecord } from '../../../src/client/record.ts';
import type { ReceivedBatch } from '../../../src/client/subscription/received-batch.ts';
import { turns } from '../../support/turns.ts';
import { GroupStage, Reading } from './group-stage.ts';

let stage: GroupStage;
beforeEach(async () => {
  stage = await GroupStage.open();
});
afterEach(() => stage[Symbol.asyncDispose]());

const subscribed = (): unknown[] =>
  stage.broker.last.subscribes.map(({ filter, partitions, resume }) => [
    filter,
    ...partitions,
    Number(resume[0]?.offset),
  ]);

/** The events as text. */
function events(member: GroupConsumer): string[] {
  const seen: string[] = [];
  const text = (partitions: readonly { partition: number; offset: number }[]): string =>
    partitions.map(({ partition, offset }) => `${partition}@${offset}`).join(' ');
  member.on('assigned', ({ partitions }) => seen.push(`assigned ${text(partitions)}`));
  member.on('revoked', ({ partitions, lost }) =>
    seen.push(`${lost ? 'lost' : 'revoked'} ${text(partitions)}`),
  );
  member.on('commit-failed', ({ error }) => seen.push(error.code));
  return seen;
}

describe('a member of a consumer group', () => {
  it('joins as its options say', async () => {
    const member = await stage.member({
      topics: ['a', 'b.*'],
      from: 'earliest',
      instanceId: 'i',
      sessionTimeoutMs: 6000,
    });
    expect(stage.joins[0]).toMatchObject({
      group: 'g',
      memberId: member.memberId,
      generation: 0,
      instanceId: 'i',
      filters: ['a', 'b.*'],
      owned: [],
      sessionTimeoutMs: 6000,
      maxWaitMs: 2000,
      start: { at: { case: 'earliest' } },
      clientId: 'c',
    });
  });

  it('reads what is assigned to it, from where the group is, as one stream of records', async () => {
    const member = await stage.member();
    await stage.assign({ 0: 5, 2: 7 });
    expect(subscribed()).toEqual([
      ['t', 0, 5],
      ['t', 2, 7],
    ]);
    stage.deliver(0, 5).batch(5, ['a', 'b']);
    stage.deliver(2, 7).batch(7, ['x']);
    expect(await new Reading(member).all()).toEqual(['0:5=a', '0:6=b', '2:7=x']);
    expect(member.assignment()).toEqual([
      { topic: 't', partition: 0, offset: 7 },
      { topic: 't', partition: 2, offset: 8 },
    ]);
  });

  it('hands out batches', async () => {
    const member = await stage.member();
    await stage.assign({ 0: 5 });
    stage.deliver(0, 5).batch(5, ['a', 'b']);
    for await (const batch of member.batches()) {
      expect([batch.partition, [...batch].map((record) => record.text())]).toEqual([0, ['a', 'b']]);
      break;
    }
  });

  it('goes on with a partition that stays while others come and go', async () => {
    const member = await stage.member();
    const seen = events(member);
    await stage.assign({ 0: 0, 1: 0 });
    const stays = stage.deliver(0, 0).batch(0, ['a']);
    const reading = new Reading(member);
    expect(await reading.all()).toEqual(['0:0=a']);
    await stage.assign({ 0: 0, 2: 4 });
    stays.batch(1, ['b']);
    expect(await reading.all()).toEqual(['0:1=b']);
    expect(subscribed()).toHaveLength(3);
    expect(seen).toEqual(['assigned 0@0 1@0', 'assigned 2@4', 'revoked 1@0']);
  });

  it('hands out nothing more of a partition that goes, and says that it has given it up once its record is done', async () => {
    const member = await stage.member();
    await stage.assign({ 0: 0, 1: 0 });
    stage.deliver(0, 0).batch(0, ['a', 'b', 'c']);
    const reading = new Reading(member);
    expect(await reading.next()).toBe('0:0=a');
    expect(await reading.next()).toBe('0:1=b');
    await stage.assign({ 1: 0 });
    expect(stage.committed).toEqual([]);
    expect(await reading.next()).toBeUndefined();
    expect(stage.committed).toEqual(['0@2']);
    expect(stage.owned).toEqual([1]);
  });

  it('hands out nothing more of a partition that goes because its topic was deleted', async () => {
    const member = await stage.member();
    await stage.assign({ 0: 0, 1: 0 });
    const reading = new Reading(member);
    const delivery = stage.deliver(0, 0).batch(0, ['a', 'b', 'c']);
    expect(await reading.next()).toBe('0:0=a');
    expect(await reading.next()).toBe('0:1=b');
    delivery.end();
    await turns(5);
    await stage.assign({ 1: 0 });
    expect(stage.owned).toEqual([0, 1]);
    expect(await reading.next()).toBeUndefined();
    expect(stage.owned).toEqual([1]);
  });

  it('says that it is alive, and owns the partition still, while its record is not done', async () => {
    const member = await stage.member({ sessionTimeoutMs: 3000 });
    await stage.assign({ 0: 0 });
    stage.deliver(0, 0).batch(0, ['a']);
    await new Reading(member).next();
    await stage.assign({});
    const joins = stage.joins.length;
    await stage.broker.pass(4000);
    expect(stage.joins.length).toBeGreaterThan(joins + 1);
    expect(stage.owned).toEqual([0]);
  });

  it('gives a partition up without its record when that is not done in time', async () => {
    const member = await stage.member({ revokeTimeoutMs: 5000 });
    await stage.assign({ 0: 0 });
    stage.deliver(0, 0).batch(0, ['a', 'b']);
    const reading = new Reading(member);
    await reading.next();
    await reading.next();
    await stage.assign({});
    await stage.broker.pass(7000);
    expect(stage.committed).toEqual(['0@1']);
    expect(stage.owned).toEqual([]);
  });

  it('ends with what the broker refuses it for', async () => {
    stage.refuseJoin = 'FORBIDDEN';
    const member = await stage.member();
    await expect(member.ready()).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await expect(new Reading(member).next()).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });

  it('joins again after the coordinator has moved', async () => {
    stage.refuseJoin = 'NOT_LEADER';
    const member = await stage.member();
    await stage.broker.pass(100);
    await member.ready();
    await stage.assign({ 0: 0 });
    expect(subscribed()).toEqual([['t', 0, 0]]);
  });

  it('joins anew, and reads from where the group is, when it was taken for gone', async () => {
    const member = await stage.member();
    const seen = events(member);
    await stage.assign({ 0: 3 });
    stage.deliver(0, 3).batch(3, ['a', 'b']);
    const reading = new Reading(member);
    expect(await reading.next()).toBe('0:3=a');
    stage.refuseJoin = 'UNKNOWN_MEMBER';
    await stage.assign({ 0: 3 });
    await stage.broker.pass(6000);
    expect(stage.joins.some(({ generation, owned }) => generation === 0 && owned.length === 0)).toBe(true);
    expect(seen.slice(0, 3)).toEqual(['assigned 0@3', 'lost 0@4', 'assigned 0@3']);
    stage.deliver(0, 3).batch(3, ['a', 'b']);
    expect(await reading.all()).toEqual(['0:3=a', '0:4=b']);
  });

  it('hands out nothing more when it was not heard of for its session timeout, and goes on when it is', async () => {
    const member = await stage.member({ sessionTimeoutMs: 6000 });
    await stage.assign({ 0: 3 });
    stage.deliver(0, 3).batch(3, ['a', 'b']);
    const reading = new Reading(member);
    expect(await reading.next()).toBe('0:3=a');
    // The join that waits at the broker is not answered.
    await stage.broker.pass(8100);
    expect(await reading.next()).toBeUndefined();
    // An answer that was given long ago, and lay here while the process was stopped, says nothing of now.
    await stage.assign({ 0: 3 });
    expect(await reading.next()).toBeUndefined();
    await stage.assign({ 0: 3 });
    expect(await reading.next()).toBe('0:4=b');
  });

  it("does not commit what it read before a partition was another member's", async () => {
    const member = await stage.member({ commit: 'manual' });
    await stage.assign({ 0: 3 });
    stage.deliver(0, 3).batch(3, ['a']);
    const { value: record } = await member[Symbol.asyncIterator]().next();
    stage.refuseJoin = 'UNKNOWN_MEMBER';
    await stage.assign({ 0: 3 });
    await stage.assign({ 0: 8 });
    await stage.broker.pass(6000);
    expect(member.assignment()).toMatchObject([{ offset: 8 }]);
    await expect(member.commit(record)).rejects.toMatchObject({ code: 'STALE_GENERATION' });
    expect(stage.committed).toEqual([]);
    await member.commit([{ topic: 't', partition: 0, offset: 4 }]);
    expect(stage.committed).toEqual(['0@4']);
  });

  describe('of what was handed out before', () => {
    /** What the member is handed out of its partition 0, which begins at 0. */
    async function handedOut(member: GroupConsumer): Promise<ReceivedRecord> {
      await stage.assign({ 0: 0 });
      stage.deliver(0, 0).batch(0, ['a', 'b']);
      const { value: record } = await member[Symbol.asyncIterator]().next();
      return record!;
    }
    const isStale = (committing: Promise<void>): Promise<void> =>
      expect(committing).rejects.toMatchObject({ code: 'STALE_GENERATION' });

    it('commits nothing where the topic was made again meanwhile', async () => {
      const member = await stage.member({ commit: 'manual', revokeTimeoutMs: 1 });
      const record = await handedOut(member);
      await stage.assign({});
      await stage.broker.pass(10);
      expect(member.assignment()).toEqual([]);
      await isStale(member.commit(record));
      await stage.assign({ 0: 0 });
      await isStale(member.commit(record));
      expect(stage.committed).toEqual([]);
    });

    it('commits no batch either', async () => {
      const member = await stage.member({ commit: 'manual', revokeTimeoutMs: 1 });
      await stage.assign({ 0: 0 });
      stage.deliver(0, 0).batch(0, ['a', 'b']);
      const handed = await member.batches()[Symbol.asyncIterator]().next();
      const batch = handed.value as ReceivedBatch;
      const [record] = [...batch];
      await member.commit(record);
      await member.commit(batch);
      await stage.assign({});
      await stage.broker.pass(10);
      await stage.assign({ 0: 0 });
      await isStale(member.commit(batch));
      await isStale(member.commit(record));
      expect(stage.committed).toEqual(['0@1', '0@2']);
    });

    it('commits where the application has gone on elsewhere by itself', async () => {
      const member = await stage.member({ commit: 'manual' });
      const record = await handedOut(member);
      await member.seek('t', 0, 7);
      await turns(5);
      await member.commit(record);
      expect(stage.committed).toEqual(['0@1']);
    });

    it('commits nothing of a log that was lost', async () => {
      const member = await stage.member({ commit: 'manual' });
      const record = await handedOut(member);
      const { onRequest } = stage.broker;
      stage.broker.onRequest = (request, connection, later) =>
        request.case === 'subscribe' && request.value.resume.some(({ offset }) => offset > 0n)
          ? { error: 'OFFSET_OUT_OF_RANGE' }
          : onRequest(request, connection, later);
      await member.seek('t', 0, 9);
      await turns(5);
      await isStale(member.commit(record));
    });
  });

  it('ends when another one with its instance id has taken its place', async () => {
    const member = await stage.member({ instanceId: 'i' });
    await stage.assign({ 0: 0 });
    stage.refuseJoin = 'UNKNOWN_MEMBER';
    await stage.assign({ 0: 0, 1: 0 });
    await stage.broker.pass(1000);
    await expect(new Reading(member).next()).rejects.toMatchObject({ code: 'UNKNOWN_MEMBER' });
  });

  it('goes on after a lost connection with what it has', async () => {
    const member = await stage.member();
    await stage.assign({ 0: 0 });
    stage.deliver(0, 0).batch(0, ['a', 'b']);
    await turns(5);
    stage.broker.last.cut();
    await stage.broker.pass(1000);
    expect(subscribed()).toEqual([['t', 0, 2]]);
    stage.deliver(0, 2).batch(2, ['c']);
    expect(await new Reading(member).all()).toEqual(['0:0=a', '0:1=b', '0:2=c']);
    expect(stage.joins.at(-1)).toMatchObject({ generation: stage.generation });
  });

  it('reads a partition from its beginning whose log ends before what is committed', async () => {
    await stage.member();
    const { onRequest } = stage.broker;
    stage.broker.onRequest = (request, connection, later) =>
      request.case === 'subscribe' && request.value.resume.length > 0
        ? { error: 'OFFSET_OUT_OF_RANGE' }
        : onRequest(request, connection, later);
    await stage.assign({ 0: 50 });
    expect(stage.broker.last.subscribes.at(-1)).toMatchObject({
      resume: [],
      start: { at: { case: 'earliest' } },
    });
  });

  it('holds its partitions back together while its buffer is full', async () => {
    stage.broker.streamWindowBytes = 2000;
    const member = await stage.member({ bufferBytes: 100 });
    await stage.assign({ 0: 0, 1: 0 });
    const first = stage.deliver(0, 0);
    const second = stage.deliver(1, 0);
    for (let i = 0; i < 50; i++) {
      first.batch(i, ['x'.repeat(100)]);
      second.batch(i, ['x'.repeat(100)]);
    }
    await turns(5);
    expect(first.send.bufferedBytes).toBeGreaterThan(1000);
    expect(await new Reading(member).all()).toHaveLength(100);
  });
});

describe('seeking', () => {
  it('goes on at an offset, without what waits', async () => {
    const member = await stage.member();
    await stage.assign({ 0: 5 });
    stage.deliver(0, 5).batch(5, ['a', 'b', 'c']);
    const reading = new Reading(member);
    expect(await reading.next()).toBe('0:5=a');
    await member.seek('t', 0, 2);
    await turns(5);
    expect(subscribed()).toEqual([
      ['t', 0, 5],
      ['t', 0, 2],
    ]);
    stage.deliver(0, 2).batch(2, ['z']);
    expect(await reading.all()).toEqual(['0:2=z']);
  });

  it('asks the broker which offset a time is', async () => {
    const member = await stage.member();
    await stage.assign({ 0: 5 });
    const { onRequest } = stage.broker;
    stage.broker.onRequest = (request, connection, later) =>
      request.case === 'listOffsets'
        ? { case: 'listOffsets', value: { positions: [{ topic: 't', partition: 0, offset: 77n }] } }
        : onRequest(request, connection, later);
    await member.seek('t', 0, new Date(1000));
    expect(member.assignment()).toEqual([{ topic: 't', partition: 0, offset: 77 }]);
  });

  it('is refused for a partition that is not assigned', async () => {
    const member = await stage.member();
    await stage.assign({ 0: 5 });
    await expect(member.seek('t', 1, 0)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

describe('committing', () => {
  it('happens by itself every second, without the record that the application is at', async () => {
    const member = await stage.member();
    await stage.assign({ 0: 0, 1: 0 });
    stage.deliver(0, 0).batch(0, ['a', 'b', 'c']);
    const reading = new Reading(member);
    await reading.next();
    await reading.next();
    await stage.broker.pass(1100);
    expect(stage.committed).toEqual(['0@1']);
    await reading.all();
    await stage.broker.pass(1100);
    expect(stage.committed).toEqual(['0@1', '0@3']);
    await stage.broker.pass(5000);
    expect(stage.committed).toHaveLength(2);
  });

  it('tells of a refusal, and tries again', async () => {
    const member = await stage.member();
    const seen = events(member);
    await stage.assign({ 0: 0 });
    stage.deliver(0, 0).batch(0, ['a']);
    await new Reading(member).all();
    stage.refuseCommit = 'STALE_GENERATION';
    await stage.broker.pass(1100);
    stage.refuseCommit = undefined;
    await stage.broker.pass(1100);
    expect(seen).toEqual(['assigned 0@0', 'STALE_GENERATION']);
    expect(stage.committed).toEqual(['0@1', '0@1']);
  });

  it('does not happen by itself where the application does it', async () => {
    const member = await stage.member({ commit: 'manual' });
    await stage.assign({ 0: 0 });
    stage.deliver(0, 0).batch(0, ['a', 'b']);
    await new Reading(member).all();
    await stage.broker.pass(3000);
    await member.close();
    expect(stage.committed).toEqual([]);
  });

  it('counts the record in hand when the application asks for it', async () => {
    const member = await stage.member({ commit: 'manual' });
    await stage.assign({ 0: 0 });
    stage.deliver(0, 0).batch(0, ['a', 'b', 'c']);
    const reading = new Reading(member);
    await reading.next();
    await reading.next();
    await member.commit();
    expect(stage.committed).toEqual(['0@2']);
    expect(stage.commits[0]).toMatchObject({
      group: 'g',
      memberId: member.memberId,
      generation: stage.generation,
    });
  });

  it('gathers what comes while a request is on its way', async () => {
    const member = await stage.member({ commit: 'manual' });
    await stage.assign({ 0: 0, 1: 0 });
    const at = (partition: number, offset: number): Promise<void> =>
      member.commit([{ topic: 't', partition, offset }]);
    stage.holdCommits = true;
    const commits = [at(0, 1), at(0, 2), at(1, 7), at(0, 3)];
    await turns(5);
    expect(stage.committed).toEqual(['0@3 1@7']);
    commits.push(at(0, 4), at(1, 8));
    await turns(5);
    expect(stage.committed).toHaveLength(1);
    stage.releaseCommits();
    await Promise.all(commits);
    expect(stage.committed).toEqual(['0@3 1@7', '0@4 1@8']);
  });

  it('does not wait until a partition is its own again that was lost meanwhile: somebody else has come further', async () => {
    const member = await stage.member({ commit: 'manual' });
    await stage.assign({ 0: 0 });
    stage.holdCommits = true;
    const at = (offset: number): Promise<void> => member.commit([{ topic: 't', partition: 0, offset }]);
    const first = at(1);
    await turns(5);
    const waiting = at(2).catch((error: unknown) => error);
    stage.refuseJoin = 'UNKNOWN_MEMBER';
    await stage.assign({ 0: 0 });
    await stage.assign({ 0: 8 });
    await stage.broker.pass(6000);
    expect(member.assignment()).toMatchObject([{ offset: 8 }]);
    stage.releaseCommits();
    await first;
    expect(await waiting).toMatchObject({ code: 'UNKNOWN_MEMBER' });
    expect(stage.committed).toEqual(['0@1']);
  });

  it('is refused with the code of its own partition', async () => {
    const member = await stage.member({ commit: 'manual' });
    await stage.assign({ 0: 0 });
    stage.refuseCommit = 'STALE_GENERATION';
    await expect(member.commit([{ topic: 't', partition: 0, offset: 1 }])).rejects.toMatchObject({
      code: 'STALE_GENERATION',
    });
  });

  it('of what is revoked is waited for before it goes', async () => {
    const member = await stage.member({ commit: 'manual' });
    await stage.assign({ 0: 0 });
    stage.deliver(0, 0).batch(0, ['a']);
    await new Reading(member).all();
    stage.holdCommits = true;
    member.on('revoked', () => void member.commit([{ topic: 't', partition: 0, offset: 1 }]));
    await stage.assign({});
    expect(stage.owned).toEqual([0]);
    stage.releaseCommits();
    await turns(5);
    expect(stage.owned).toEqual([]);
  });

  it('reads a partition of which its broker hears later than the coordinator', async () => {
    const member = await stage.member();
    const { broker } = stage;
    const answer = broker.onRequest;
    broker.onRequest = (request, connection, later) => {
      if (request.case !== 'subscribe') return answer(request, connection, later);
      broker.onRequest = answer;
      return { error: 'PARTITION_NOT_FOUND' };
    };
    await stage.assign({ 0: 7 });
    broker.clock.advance(500);
    await turns(8);
    stage.deliver(0, 7).batch(7, ['a']);
    expect(await new Reading(member).all()).toEqual(['0:7=a']);
  });
});

describe('closing', () => {
  it('commits what is done, then leaves, and ends its stream', async () => {
    const member = await stage.member();
    await stage.assign({ 0: 0 });
    stage.deliver(0, 0).batch(0, ['a', 'b']);
    const reading = new Reading(member);
    await reading.all();
    await member.close();
    expect(stage.asked.slice(-2)).toEqual(['commitOffsets', 'leaveGroup']);
    expect(stage.committed).toEqual(['0@2']);
    expect(await reading.next()).toBe('end');
    await turns(5);
    expect(stage.broker.endedStreams).toHaveLength(1);
  });

  it('happens at a break, and does not count the record that was broken off', async () => {
    const member = await stage.member();
    await stage.assign({ 0: 0 });
    stage.deliver(0, 0).batch(0, ['a', 'b']);
    const reading = new Reading(member);
    await reading.next();
    await reading.next();
    await reading.break();
    expect([stage.committed, stage.leaves]).toEqual([['0@1'], 1]);
  });

  it('does not wait for a coordinator that does not answer', async () => {
    const member = await stage.member();
    await stage.assign({ 0: 0 });
    stage.broker.onRequest = () => undefined;
    const closed = member.close();
    await stage.broker.pass(4000);
    await closed;
  });

  it('at once says no more that the member is alive, and does not take what is assigned to it', async () => {
    const member = await stage.member({ sessionTimeoutMs: 3000 });
    await stage.assign({ 0: 0 });
    const seen = events(member);
    const joins = stage.joins.length;
    member.abort();
    await stage.broker.pass(20_000);
    await stage.assign({ 0: 0, 1: 0 });
    expect([stage.joins.length, seen, stage.leaves]).toEqual([joins, [], 0]);
  });

  it('says that a static member may come back', async () => {
    const member = await stage.member({ instanceId: 'i' });
    await stage.assign({ 0: 0 });
    let returning: boolean | undefined;
    const { onRequest } = stage.broker;
    stage.broker.onRequest = (request, connection, later) => {
      const body = request.case === 'group' ? request.value.body : undefined;
      if (body?.case === 'leaveGroup') returning = body.value.returning;
      return onRequest(request, connection, later);
    };
    await member.close();
    expect(returning).toBe(true);
  });
});

describe('options of a group', () => {
  it.each([
    { topics: [] },
    { topics: ['t'], sessionTimeoutMs: 999 },
    { topics: ['t'], commitIntervalMs: 0 },
    { topics: ['t'], from: 'last-per-key' as 'latest' },
    { topics: ['t'], from: -1 },
  ])('cannot be %j', async (options) => {
    const client = await stage.broker.client();
    expect(() => client.group('g', options)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });
});
