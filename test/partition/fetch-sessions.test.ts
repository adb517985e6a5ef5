import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { Acks } from '../../src/partition/acknowledgements.ts';
import { FetchSessions } from '../../src/partition/fetch-sessions.ts';
import type { Partition } from '../../src/partition/partition.ts';
import { batchOf } from '../support/batch.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { turns } from '../support/turns.ts';
import { CasCluster } from './cas-cluster.ts';
import { EPOCH, FetchingNode, at } from './fetching-node.ts';
import type { Asked } from './fetching-node.ts';
import { idlePartition, leadershipOf } from './fixture.ts';

const KiB = 1024;

let clock: FakeClock;
let partitions: Map<number, Partition>;
let clusters: CasCluster[];
let sessions: FetchSessions;
let follower: FetchingNode;

/** Node `a` leads partition `index`; `b` and `c` are the other replicas. */
function lead(index: number, isr: readonly string[] = ['a', 'b'], epoch = EPOCH): Partition {
  const partition = partitions.get(index) ?? idlePartition({ clock, partition: index });
  const replicas = ['a', 'b', 'c'];
  const cluster = new CasCluster({ replicas, leader: 'a', leaderEpoch: epoch, isr });
  cluster.isPrompt = true;
  clusters[index] = cluster;
  partition.lead(leadershipOf(epoch, { replicas, isr, cluster }));
  partitions.set(index, partition);
  return partition;
}

function publish(partition: Partition, acks: Acks = 1): void {
  partition.append(batchOf(1), acks);
}

/** Makes the next read of a partition wait as one of a disk does. @returns lets it come back */
function slowRead(partition: Partition): (error?: Error) => void {
  const late = Promise.withResolvers<undefined>();
  const read = partition.log.read.bind(partition.log);
  vi.spyOn(partition.log, 'read').mockImplementationOnce((...args) => {
    const found = read(...args);
    return late.promise.then(() => found);
  });
  return (error) => {
    if (error) late.reject(error);
    else late.resolve(undefined);
  };
}

beforeEach(() => {
  clock = new FakeClock();
  partitions = new Map();
  clusters = [];
  sessions = new FetchSessions({
    clock,
    find: (topicId, partition) => (topicId === 't1' ? partitions.get(partition) : undefined),
  });
  follower = new FetchingNode('b', sessions);
});

describe('a request', () => {
  it('is answered with what there is', async () => {
    const partition = lead(0);
    publish(partition);
    publish(partition);
    expect(await follower.ask([at(0, 0)]).now()).toEqual(['0: [0 1] hw 0']);
  });

  it('tells how far the follower is, and is answered with the watermark that comes of it', async () => {
    publish(lead(0));
    await follower.ask([at(0, 0)]).now();
    expect(await follower.ask([at(0, 1)]).now()).toEqual(['0: [] hw 1']);
  });

  it('waits while there is nothing, and is answered with nothing after its time', async () => {
    lead(0);
    await follower.ask([at(0, 0)]).now();
    const asked = follower.ask();
    clock.advance(499);
    expect(await asked.now()).toBe('waits');
    clock.advance(1);
    expect(await asked.now()).toEqual([]);
  });

  it('is answered when something is appended, once for all that comes in a turn', async () => {
    const [one, two] = [lead(0), lead(1)];
    await follower.ask([at(0, 0), at(1, 0)]).now();
    const asked = follower.ask();
    await turns();
    publish(one);
    publish(two);
    publish(one);
    expect(await asked.now()).toEqual(['0: [0 1] hw 0', '1: [0] hw 0']);
  });

  it.each<[string, string[], (partition: Partition) => void]>([
    ['the watermark moves', ['0: [] hw 2'], (partition) => partition.reportFollower('c', 2, 0)],
    ['the log start moves', ['0: [] hw 1 from 1'], (partition) => partition.deleteBefore(1)],
  ])('is answered when %s', async (_what, expected, change) => {
    const partition = lead(0, ['a', 'b', 'c']);
    publish(partition);
    publish(partition);
    partition.reportFollower('c', 1, 0);
    await follower.ask([at(0, 0)]).now();
    await follower.ask([at(0, 2)]).now();
    const asked = follower.ask();
    expect(await asked.now()).toBe('waits');
    change(partition);
    expect(await asked.now()).toEqual(expected);
  });

  it('that still waits is overtaken by the next, which then waits itself', async () => {
    const partition = lead(0);
    await follower.ask([at(0, 0)]).now();
    const first = follower.ask();
    const second = follower.ask();
    expect([await first.now(), await second.now()]).toEqual([[], 'waits']);
    publish(partition);
    expect(await second.now()).toEqual(['0: [0] hw 0']);
  });

  it('is answered for what it forgets no more', async () => {
    const partition = lead(0);
    await follower.ask([at(0, 0)]).now();
    const asked = follower.ask([], { forgotten: [{ topicId: 't1', partition: 0 }] });
    publish(partition);
    expect(await asked.now()).toBe('waits');
    expect(sessions.partitions).toBe(0);
  });

  it('holds up no timer once it is answered', async () => {
    lead(0, ['a']);
    await follower.ask([at(0, 0)]).now();
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('what was sent', () => {
  it('is not sent again before the follower has said what came of it', async () => {
    const partition = lead(0);
    publish(partition);
    const asked = follower.ask([at(0, 0)]);
    await asked.now();
    publish(partition);
    expect(await follower.ask([]).now()).toBe('waits');
    expect(await follower.ask([at(0, 1)]).now()).toEqual(['0: [1] hw 1']);
  });

  it('is not sent again for a position that was named before it came, which only tells what is durable', async () => {
    const partition = lead(0);
    publish(partition);
    await follower.ask([at(0, 0)]).now();
    publish(partition);
    const second = follower.ask([at(0, 1, { durableOffset: 0 })]);
    expect(await second.now()).toEqual(['0: [1] hw 0']);
    const crossing = follower.ask([at(0, 1)], { received: 0 });
    expect(await crossing.now()).toEqual(['0: [] hw 1']);
  });

  it('is sent again when the follower has not kept it', async () => {
    publish(lead(0));
    await follower.ask([at(0, 0)]).now();
    expect(await follower.ask([at(0, 0)]).now()).toEqual(['0: [0] hw 0']);
  });
});

describe('a follower that cannot go on from where it is', () => {
  it('is told where to go back to, once, and does not count meanwhile', async () => {
    const partition = lead(0);
    publish(partition);
    expect(await follower.ask([at(0, 3)]).now()).toEqual(['0: back to 1 in 5']);
    expect(await follower.ask([]).now()).toBe('waits');
    expect(partition.highWatermark).toBe(0);
    expect(await follower.ask([at(0, 1)]).now()).toEqual(['0: [] hw 1']);
  });

  it('does not count with what it says of its durable end before it went back', async () => {
    const partition = lead(0);
    publish(partition);
    await follower.ask([at(0, 3)]).now();
    await follower.ask([at(0, 3)], { received: -1 }).now();
    expect(partition.highWatermark).toBe(0);
  });

  it('is told where the log begins when that is above', async () => {
    const partition = lead(0, ['a']);
    for (let n = 0; n < 3; n++) publish(partition);
    partition.deleteBefore(2);
    expect(await follower.ask([at(0, 1)]).now()).toEqual(['0: [] hw 3 from 2']);
    expect(await follower.ask([at(0, 2, { lastEpoch: -1 })]).now()).toEqual(['0: [2] hw 3 from 2']);
  });

  it('is told the watermark once it has begun there, where there is nothing yet', async () => {
    const partition = lead(0, ['a']);
    for (let n = 0; n < 3; n++) publish(partition);
    partition.deleteBefore(3);
    expect(await follower.ask([at(0, 0)]).now()).toEqual(['0: [] hw 3 from 3']);
    expect(await follower.ask([at(0, 3, { lastEpoch: -1 })]).now()).toEqual(['0: [] hw 3 from 3']);
  });

  it('is told of it while a read of the disk is under way for what is deleted then', async () => {
    const partition = lead(0, ['a']);
    for (let n = 0; n < 3; n++) publish(partition);
    const arrive = slowRead(partition);
    expect(await follower.ask([at(0, 0)]).now()).toEqual(['0: [] hw 3']);
    const asked = follower.ask();
    await turns();
    partition.deleteBefore(2);
    arrive();
    expect(await asked.now()).toEqual(['0: [] hw 3 from 2']);
  });
});

describe('refusals', () => {
  it.each([
    ['an epoch that is over', EPOCH - 1, 'NOT_LEADER'],
    ['an epoch that is not known yet', EPOCH + 1, 'UNAVAILABLE'],
  ])('%s', async (_what, leaderEpoch, code) => {
    const partition = lead(0);
    publish(partition);
    expect(await follower.ask([at(0, 1, { leaderEpoch })]).now()).toEqual([`0: ${code}`]);
    expect([partition.highWatermark, sessions.partitions]).toEqual([0, 0]);
  });

  it('a partition that is not open here', async () => {
    expect(await follower.ask([at(9, 0)]).now()).toEqual(['9: UNAVAILABLE']);
  });

  it('a leader without its lease', async () => {
    publish(lead(0));
    clusters[0]!.leaseHeld = false;
    expect(await follower.ask([at(0, 0)]).now()).toEqual(['0: UNAVAILABLE']);
  });

  it('are told to whom waits as soon as somebody else leads', async () => {
    const partition = lead(0);
    await follower.ask([at(0, 0)]).now();
    const asked = follower.ask();
    await turns();
    partition.follow(EPOCH + 1);
    expect(await asked.now()).toEqual(['0: NOT_LEADER']);
  });

  it('are told to whom waits when the partition is closed, and its successor is served', async () => {
    const partition = lead(0);
    await follower.ask([at(0, 0)]).now();
    const asked = follower.ask();
    await turns();
    await partition.close();
    expect(await asked.now()).toEqual(['0: UNAVAILABLE']);
    partitions.delete(0);
    publish(lead(0));
    expect(await follower.ask([at(0, 0)]).now()).toEqual(['0: [0] hw 0']);
  });

  it('are none where a partition was closed and opened again between two requests', async () => {
    const partition = lead(0);
    await follower.ask([at(0, 0)]).now();
    await partition.close();
    partitions.delete(0);
    publish(lead(0));
    expect(await follower.ask([at(0, 0)]).now()).toEqual(['0: [0] hw 0']);
  });

  it('end with a new epoch that the follower names', async () => {
    const partition = lead(0);
    publish(partition);
    await follower.ask([at(0, 0)]).now();
    lead(0, ['a', 'b'], EPOCH + 1);
    const leaderEpoch = EPOCH + 1;
    expect(await follower.ask([at(0, 1, { leaderEpoch })]).now()).toEqual(['0: [] hw 1']);
  });

  it('tell the watermark anew to a follower that has gone back, because what it was told then came to nothing', async () => {
    const partition = lead(0, ['a']);
    for (let count = 0; count < 3; count++) publish(partition);
    expect(await follower.ask([at(0, 4)]).now()).toEqual(['0: back to 3 in 5']);
    expect(await follower.ask([at(0, 3)]).now()).toEqual(['0: [] hw 3']);
  });

  it('tell the watermark anew to a follower that is where it was, but not to one that is more durable there', async () => {
    const partition = lead(0, ['a']);
    for (let count = 0; count < 3; count++) publish(partition);
    expect(await follower.ask([at(0, 3, { durableOffset: 2 })]).now()).toEqual(['0: [] hw 3']);
    expect(await follower.ask([at(0, 3)]).now()).toBe('waits');
    expect(await follower.ask([at(0, 3)]).now()).toEqual(['0: [] hw 3']);
  });

  it('end with a new epoch, in which the watermark is told anew to a follower that has forgotten it', async () => {
    publish(lead(0));
    await follower.ask([at(0, 0)]).now();
    expect(await follower.ask([at(0, 1)]).now()).toEqual(['0: [] hw 1']);
    const leaderEpoch = EPOCH + 1;
    lead(0, ['a', 'b'], leaderEpoch);
    expect(await follower.ask([at(0, 1, { leaderEpoch })]).now()).toEqual(['0: [] hw 1']);
  });

  it('say why the log cannot be read', async () => {
    const partition = lead(0);
    publish(partition);
    const arrive = slowRead(partition);
    await follower.ask([at(0, 0)]).now();
    const asked = follower.ask();
    arrive(new Error('a bad sector'));
    expect(await asked.now()).toEqual(['0: INTERNAL']);
  });
});

describe('reads that wait for the disk', () => {
  it('hold up nobody else', async () => {
    const [slow, quick] = [lead(0), lead(1)];
    publish(slow);
    const arrive = slowRead(slow);
    expect(await follower.ask([at(0, 0), at(1, 0)]).now()).toEqual(['0: [] hw 0', '1: [] hw 0']);
    const second = follower.ask();
    await turns();
    publish(quick);
    expect(await second.now()).toEqual(['1: [0] hw 0']);
    const third = follower.ask([at(1, 1)]);
    await third.now();
    const fourth = follower.ask();
    arrive();
    expect(await fourth.now()).toEqual(['0: [0] hw 0']);
  });

  it('are kept for the next request when they come back between two', async () => {
    const partition = lead(0);
    publish(partition);
    const arrive = slowRead(partition);
    await follower.ask([at(0, 0)]).now();
    arrive();
    await turns();
    const read = vi.spyOn(partition.log, 'read').mockClear();
    expect(await follower.ask().now()).toEqual(['0: [0] hw 0']);
    expect(read).not.toHaveBeenCalled();
  });

  it('stay good when the follower says only that more has become durable', async () => {
    const partition = lead(0);
    publish(partition);
    await follower.ask([at(0, 0)]).now();
    publish(partition);
    const arrive = slowRead(partition);
    const read = vi.spyOn(partition.log, 'read');
    const second = follower.ask([at(0, 1, { durableOffset: 0 })]);
    expect(await second.now()).toBe('waits');
    const third = follower.ask([at(0, 1)], { received: 0 });
    expect(await third.now()).toEqual(['0: [] hw 1']);
    const fourth = follower.ask();
    arrive();
    expect(await fourth.now()).toEqual(['0: [1] hw 1']);
    expect(read).toHaveBeenCalledTimes(1);
  });

  it('are dropped when the follower has gone back meanwhile', async () => {
    const partition = lead(0);
    publish(partition);
    publish(partition);
    const arrive = slowRead(partition);
    await follower.ask([at(0, 1)]).now();
    const asked = follower.ask([at(0, 0)]);
    arrive();
    expect(await asked.now()).toEqual(['0: [0 1] hw 1']);
  });

  it('are dropped also when they come back before those that were begun after them', async () => {
    const partition = lead(0, ['a', 'b', 'c']);
    publish(partition);
    publish(partition);
    const arriveFirst = slowRead(partition);
    await follower.ask([at(0, 1)]).now();
    const arriveSecond = slowRead(partition);
    expect(await follower.ask([at(0, 0)]).now()).toEqual(['0: [] hw 0']);
    const asked = follower.ask();
    arriveFirst();
    expect(await asked.now()).toBe('waits');
    arriveSecond();
    expect(await asked.now()).toEqual(['0: [0 1] hw 0']);
  });

  it('that find nothing, because the end of the log is a hole, are not tried again before there is more', async () => {
    const partition = lead(0);
    publish(partition);
    const read = vi.spyOn(partition.log, 'read').mockReturnValueOnce(Promise.resolve([]));
    await follower.ask([at(0, 0)]).now();
    const asked = follower.ask();
    expect(await asked.now()).toBe('waits');
    expect(read).toHaveBeenCalledTimes(1);
    publish(partition);
    expect(await asked.now()).toEqual(['0: [0 1] hw 0']);
  });
});

describe('the size of a response', () => {
  const big = (): Buffer => batchOf([{ value: 'x'.repeat(100 * KiB) }]);

  it('is bounded over all partitions, and those that were left out come first in the next', async () => {
    for (let index = 0; index < 4; index++) lead(index).append(big());
    const changed = [0, 1, 2, 3].map((index) => at(index, 0));
    const first = await follower.ask(changed, { maxBytes: 250 * KiB }).now();
    const second = await follower.ask([at(0, 1)], { maxBytes: 250 * KiB }).now();
    expect([first, second]).toEqual([
      ['0: [0] hw 0', '1: [0] hw 0'],
      ['2: [0] hw 0', '3: [0] hw 0', '0: [] hw 1'],
    ]);
  });

  it('is shared by all who are behind', async () => {
    for (const partition of [lead(0), lead(1)]) for (let n = 0; n < 9; n++) partition.append(big());
    // Knows nothing yet of where these are read from, so it begins small.
    await follower.ask([at(0, 0), at(1, 0)]).now();
    const asked = await follower.ask([at(0, 1), at(1, 1)], { maxBytes: 450 * KiB }).now();
    expect(asked).toEqual(['0: [1 2] hw 1', '1: [1 2] hw 1']);
  });

  it('has one batch at least', async () => {
    lead(0).append(big());
    expect(await follower.ask([at(0, 0)], { maxBytes: 1 }).now()).toEqual(['0: [0] hw 0']);
  });

  it('leaves room for the others when one is far behind', async () => {
    const [far, near] = [lead(0), lead(1)];
    for (let n = 0; n < 20; n++) far.append(big());
    await follower.ask([at(0, 0), at(1, 0)], { maxBytes: 500 * KiB }).now();
    near.append(big());
    const asked = await follower.ask([at(0, 1)], { maxBytes: 500 * KiB }).now();
    expect(asked).toEqual(['1: [0] hw 0', '0: [1 2 3] hw 1']);
  });
});

describe('in-sync replicas', () => {
  it('take in a follower that has caught up', async () => {
    const partition = lead(0, ['a']);
    publish(partition);
    await follower.ask([at(0, 0)]).now();
    await follower.ask([at(0, 1)]).now();
    expect(partition.isr).toEqual(['a', 'b']);
  });

  it('take in again one that was taken out although it has everything, because its requests show that it is there', async () => {
    const partition = lead(0, ['a', 'b']);
    await follower.ask([at(0, 0)]).now();
    const asked = follower.ask();
    await turns();
    partition.stateChanged(clusters[0]!.put({ isr: ['a'] }));
    clock.advance(500);
    await asked.now();
    expect(partition.isr).toEqual(['a']);
    await follower.ask().now();
    expect(partition.isr).toEqual(['a', 'b']);
  });
});

describe('a session', () => {
  const over = async (asked: Asked): Promise<unknown> => {
    await asked.now();
    return asked.response?.error;
  };

  it('that is not known is over', async () => {
    follower.sequence = 3;
    expect(await over(follower.ask())).toBe('CLOSED');
  });

  it('in which a request was lost is over', async () => {
    lead(0);
    await follower.ask([at(0, 0)]).now();
    follower.sequence++;
    expect(await over(follower.ask())).toBe('CLOSED');
    expect(sessions.size).toBe(0);
  });

  it('begins anew with all partitions, and ends the one before', async () => {
    publish(lead(0));
    await follower.ask([at(0, 0)]).now();
    const waiting = follower.ask();
    follower.sequence = 0;
    expect(await follower.ask([at(0, 0)]).now()).toEqual(['0: [0] hw 0']);
    expect([await over(waiting), sessions.size]).toEqual(['CLOSED', 1]);
  });

  it('is not ended by a request of one before it', async () => {
    lead(0);
    await follower.ask([at(0, 0)]).now();
    const { sessionId } = follower;
    follower.sequence = 0;
    await follower.ask([at(0, 0)]).now();
    const stale = sessions.fetch('b', {
      ...{ sessionId, sequence: 1, received: 0, changed: [], forgotten: [], maxBytes: 1, maxWaitMs: 1 },
    });
    expect((await stale).error).toBe('CLOSED');
    expect(await follower.ask().now()).toBe('waits');
  });

  it('is forgotten with the connection, and what waits for the disk is dropped', async () => {
    const partition = lead(0);
    publish(partition);
    const arrive = slowRead(partition);
    await follower.ask([at(0, 0)]).now();
    const waiting = follower.ask();
    sessions.forget('b');
    arrive();
    await turns();
    expect([await over(waiting), sessions.size, clock.pendingTimers]).toEqual(['CLOSED', 0, 1]);
  });

  it('of one node knows nothing of another’s', async () => {
    publish(lead(0, ['a', 'b', 'c']));
    const other = new FetchingNode('c', sessions);
    await follower.ask([at(0, 0)]).now();
    await follower.ask([at(0, 1)], { maxWaitMs: 0 }).now();
    await other.ask([at(0, 0)]).now();
    const waiting = follower.ask();
    await turns();
    const moved = other.ask([at(0, 1)]);
    expect([await waiting.now(), await moved.now()]).toEqual([['0: [] hw 1'], ['0: [] hw 1']]);
  });
});

describe('a session with a thousand partitions', () => {
  it('looks only at those of which there is something new', async () => {
    const all = Array.from({ length: 1000 }, (_, index) => lead(index));
    await follower.ask(all.map((_, index) => at(index, 0))).now();
    const reads = all.map(({ log }) => vi.spyOn(log, 'read'));
    const reports = all.map((partition) => vi.spyOn(partition, 'reportFollower'));
    const idle = follower.ask();
    clock.advance(500);
    await idle.now();
    const asked = follower.ask();
    await turns();
    publish(all[7]!);
    expect(await asked.now()).toEqual(['7: [0] hw 0']);
    const count = (spies: readonly { readonly mock: { readonly calls: readonly unknown[] } }[]): number =>
      spies.reduce((sum, { mock }) => sum + mock.calls.length, 0);
    expect([count(reads), count(reports)]).toEqual([1, 0]);
  });
});
