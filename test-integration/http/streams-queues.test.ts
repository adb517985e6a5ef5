import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Principal } from '../../src/broker/ports.ts';
import { eventually } from '../support/eventually.ts';
import type { Frame, TestSocket } from './streams-stage.ts';
import { StreamsStage } from './streams-stage.ts';

const ANN: Principal = { name: 'ann', kind: 'token', admin: true, rights: [] };

function tokens(socket: TestSocket): string[] {
  return socket.records.map(({ token }) => token as string);
}

function answers(socket: TestSocket): readonly Frame[] {
  return socket.frames.filter(({ type }) => type === 'done' || type === 'refused');
}

describe('streams of queues', () => {
  let stage: StreamsStage;
  const status = async (): Promise<{ readonly ready: number; readonly leased: number }> => {
    const { partitions } = await stage.broker.groups.ask(ANN, 'describeQueue', {
      topic: 'jobs',
      group: 'default',
    });
    const sum = (of: 'ready' | 'leased') => partitions.reduce((total, each) => total + Number(each[of]), 0);
    return { ready: sum('ready'), leased: sum('leased') };
  };
  const jobs = (count: number): Promise<unknown> =>
    stage.publish(
      'jobs',
      Array.from({ length: count }, (_, index) => `${index}`),
    );

  beforeEach(async () => {
    stage = await StreamsStage.open();
    await stage.create('jobs');
  });
  afterEach(() => stage[Symbol.asyncDispose]());

  it('leases records one by one, up to the credit, and more as they are done', async () => {
    await jobs(5);
    const socket = await stage.socket('jobs', 'queue=&credit=2').untilOpen();
    expect(socket.ofType('open')).toEqual([{ type: 'open', topic: 'jobs', queue: 'default', credit: 2 }]);
    await socket.untilRecords(2);
    expect(socket.records[0]).toMatchObject({
      value: '0',
      attempt: 1,
      token: expect.stringMatching(/^0\.\w+\.0$/) as string,
    });
    socket.say({ id: 1, ack: tokens(socket) });
    await socket.untilRecords(4);
    expect(answers(socket)).toEqual([{ type: 'done', id: 1 }]);
    expect(await status()).toEqual({ ready: 1, leased: 2 });
  });

  it('makes a dead letter of what cannot be read, and goes on with the next', async () => {
    await using small = await StreamsStage.open({ maxInflatedBytes: 1000 });
    await small.create('jobs');
    await small.publish('jobs', ['x'.repeat(100_000)], 0, { codec: 'gzip' });
    await small.publish('jobs', ['fine']);
    const socket = await small.socket('jobs', 'queue=&credit=10').untilOpen();
    await socket.untilRecords(1);
    expect([socket.values, socket.ofType('end')]).toEqual([['fine'], []]);
    const dead = { topic: 'dlq.jobs', group: '', positions: [], maxRecords: 10 };
    await eventually('it is a dead letter', async () => {
      const found = await small.broker.groups.ask(ANN, 'browseQueue', dead).catch(() => undefined);
      return found?.batches.length === 1;
    });
  });

  it('gives no record to two', async () => {
    const sockets = await Promise.all(
      [1, 2, 3].map(() => stage.socket('jobs', 'queue=&credit=10').untilOpen()),
    );
    await jobs(30);
    await eventually('all came', () => sockets.flatMap(({ values }) => values).length === 30);
    expect(new Set(sockets.flatMap(({ values }) => values)).size).toBe(30);
  });

  it('brings back what was not done, at once or after a while, and counts', async () => {
    await jobs(1);
    const socket = await stage.socket('jobs', 'queue=&credit=5').untilOpen();
    await socket.untilRecords(1);
    socket.say({ nack: tokens(socket), delayMs: 10, reason: 'not yet' });
    await socket.untilRecords(2);
    socket.say({ release: [tokens(socket)[1]] });
    await socket.untilRecords(3);
    expect(socket.records.map(({ attempt }) => attempt)).toEqual([1, 2, 2]);
  });

  it('brings back what was leased for too long, unless the lease was made longer', async () => {
    await jobs(2);
    const socket = await stage.socket('jobs', 'queue=&credit=2&lease=1500').untilOpen();
    await socket.untilRecords(2);
    socket.say({ id: 1, extend: [tokens(socket)[0]], leaseMs: 60_000 });
    await socket.untilRecords(3);
    expect(socket.records[2]).toMatchObject({ value: '1', attempt: 2 });
    socket.say({ id: 2, ack: [tokens(socket)[0], tokens(socket)[1]] });
    await eventually('an answer', () => answers(socket).length === 2);
    expect(answers(socket)[1]).toMatchObject({
      ...{ type: 'refused', id: 2 },
      refused: [{ of: tokens(socket)[1], code: 'LEASE_EXPIRED' }],
    });
  });

  it('makes a dead letter of what is rejected', async () => {
    await jobs(1);
    const socket = await stage.socket('jobs', 'queue=').untilOpen();
    await socket.untilRecords(1);
    const dead = await stage.socket('dlq.jobs', 'from=earliest').untilOpen();
    socket.say({ reject: tokens(socket), reason: 'broken' });
    await dead.untilRecords(1);
    expect(dead.records[0]).toMatchObject({
      ...{ value: '0', headers: { 'sluice-dlq-reason': 'rejected', 'sluice-dlq-text': 'broken' } },
    });
  });

  it('gives back what it has leased when its client goes', async () => {
    await jobs(10);
    const socket = await stage.socket('jobs', 'queue=&credit=4').untilOpen();
    await socket.untilRecords(4);
    socket.ws.terminate();
    await eventually('all is ready', async () => (await status()).ready === 10);
    const next = await stage.socket('jobs', 'queue=&credit=1').untilOpen();
    await next.untilRecords(1);
    expect(next.records[0]).toMatchObject({ attempt: 1 });
  });

  it('says what it cannot do with a message', async () => {
    const socket = await stage.socket('jobs', 'queue=').untilOpen();
    socket.say({ id: 1, ack: ['nonsense'] });
    socket.say({ id: 2, ack: [{ partition: 0, offset: 0 }] });
    socket.say({ id: 3, commit: { partition: 0, offset: 0 } });
    await eventually('three answers', () => answers(socket).length === 3);
    for (const answer of answers(socket))
      expect(answer).toMatchObject({ type: 'refused', refused: [{ code: 'INVALID_ARGUMENT' }] });
  });

  it('says why a queue cannot be had', async () => {
    expect(await stage.socket('secret', 'queue=').untilClosed()).toMatchObject({ code: 4041 });
    expect(await stage.socket('jobs', 'queue=&lease=1').untilClosed()).toMatchObject({ code: 4037 });
    expect(await stage.socket('jobs', 'queue=&key=a').untilClosed()).toMatchObject({ code: 4037 });
  });
});
