import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Principal } from '../../src/broker/ports.ts';
import { eventually } from '../support/eventually.ts';
import type { Frame, TestSocket } from './streams-stage.ts';
import { StreamsStage } from './streams-stage.ts';

const ANN: Principal = { name: 'ann', kind: 'token', admin: true, rights: [] };
const LATEST = 'from=latest';

/** Partitions that a socket has been assigned and not lost. */
function held({ frames }: TestSocket): readonly unknown[] {
  const partitions = new Set<unknown>();
  for (const { type, partition } of frames) {
    if (type === 'assigned') partitions.add(partition);
    if (type === 'revoked') partitions.delete(partition);
  }
  return [...partitions].sort();
}

const placeOf = ({ partition, offset }: Frame) => ({ partition, offset });

describe('streams of groups', () => {
  let stage: StreamsStage;
  const committed = async (group: string): Promise<readonly [number, number][]> => {
    const { offsets } = await stage.broker.groups.ask(ANN, 'describeGroup', { group });
    return offsets.map(({ partition, committed: offset }) => [partition, Number(offset)] as const).sort() as [
      number,
      number,
    ][];
  };
  const publishEach = async (...values: readonly string[]): Promise<void> => {
    for (const [index, value] of values.entries()) await stage.publish('orders', [value], index % 4);
  };

  beforeEach(async () => {
    stage = await StreamsStage.open();
    await stage.create('orders', 4);
  });
  afterEach(() => stage[Symbol.asyncDispose]());

  it('has one stream alone read all, and two share', async () => {
    const first = await stage.socket('orders', `group=g&${LATEST}`).untilOpen();
    await eventually('all four', () => held(first).length === 4);
    const second = await stage.socket('orders', `group=g&${LATEST}`).untilOpen();
    await eventually('two each', () => held(first).length === 2 && held(second).length === 2);
    expect([...held(first), ...held(second)].sort()).toEqual([0, 1, 2, 3]);
    await publishEach('a', 'b', 'c', 'd');
    await eventually('all came', () => first.records.length + second.records.length === 4);
    second.ws.close();
    await eventually('all four again', () => held(first).length === 4);
  });

  it('goes on after what was acknowledged', async () => {
    const first = await stage.socket('orders', `group=g&from=earliest&consumer=till`).untilOpen();
    await stage.publish('orders', ['a', 'b', 'c']);
    await first.untilRecords(3);
    first.say({ id: 'x', ack: [placeOf(first.records[1]!)] });
    await eventually('done', () => first.ofType('done').length === 1);
    expect(await committed('g')).toContainEqual([0, 2]);
    first.ws.terminate();
    await eventually('it is gone', () => stage.streams.counters.sockets === 0);
    const second = await stage.socket('orders', `group=g`).untilOpen();
    await second.untilRecords(1);
    expect(second.values).toEqual(['c']);
  });

  it('takes the commit of pubsub-broker, and one that comes late takes nothing back', async () => {
    const socket = await stage.socket('orders', `group=g&from=earliest`).untilOpen();
    await stage.publish('orders', ['a', 'b', 'c']);
    await socket.untilRecords(3);
    socket.say({ id: 1, commit: { partition: 0, offset: 2 } });
    socket.say({ id: 2, ack: [{ partition: 0, offset: 0 }] });
    await eventually('both done', () => socket.ofType('done').length === 2);
    expect(await committed('g')).toContainEqual([0, 3]);
  });

  it('refuses to acknowledge what it was not given', async () => {
    const socket = await stage.socket('orders', `group=g&from=earliest`).untilOpen();
    await eventually('assigned', () => held(socket).length === 4);
    socket.say({
      ...{ id: 1, nack: ['0.0.0'] },
      ack: [
        { partition: 0, offset: 0 },
        { partition: 9, offset: 0 },
      ],
    });
    await eventually('an answer', () => socket.ofType('refused').length === 1);
    const refused = socket.ofType('refused')[0]!['refused'] as readonly Frame[];
    expect(refused.map(({ code }) => code)).toEqual(['UNSUPPORTED', 'INVALID_ARGUMENT', 'STALE_GENERATION']);
  });

  it('commits by itself what has gone to the client, where that is wanted', async () => {
    const socket = await stage.socket('orders', `group=g&from=earliest&commit=auto`).untilOpen();
    await stage.publish('orders', ['a', 'b']);
    await socket.untilRecords(2);
    await eventually('it is committed', async () =>
      (await committed('g')).some(([, offset]) => offset === 2),
    );
    expect(stage.streams.counters.sockets).toBe(1);
  });

  it('leaves out keys that are not wanted', async () => {
    const socket = await stage.socket('orders', `group=g&from=earliest&key=a/%23`).untilOpen();
    await stage.publish('orders', [
      { key: 'b/1', value: 'no' },
      { key: 'a/1', value: 'yes' },
    ]);
    await socket.untilRecords(1);
    expect(socket.values).toEqual(['yes']);
  });

  it('serves an event stream too, which commits by itself', async () => {
    const events = await stage.events('orders', 'group=g&from=earliest');
    await stage.publish('orders', ['a', 'b']);
    await events.untilValues(2);
    events.close();
    await eventually('it is gone', () => stage.streams.counters.eventStreams === 0);
    expect(await committed('g')).toContainEqual([0, 2]);
  });

  it('says why a group cannot be joined', async () => {
    expect(await stage.socket('secret', 'group=g').untilClosed()).toMatchObject({ code: 4041 });
    expect(await stage.socket('orders', 'group=').untilClosed()).toMatchObject({ code: 4037 });
    expect((await stage.events('orders', 'group=a%20b')).response.status).toBe(400);
  });
});
