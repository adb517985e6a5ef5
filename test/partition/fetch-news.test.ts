import { beforeEach, describe, expect, it } from 'vitest';
import { FetchSessions } from '../../src/partition/fetch-sessions.ts';
import type { Partition } from '../../src/partition/partition.ts';
import { batchOf } from '../support/batch.ts';
import { FakeClock } from '../support/fake-clock.ts';
import type { Asked } from './fetching-node.ts';
import { EPOCH, FetchingNode, at } from './fetching-node.ts';
import { idlePartition, leadershipOf } from './fixture.ts';

const NODES = ['a', 'b', 'c'];

let clock: FakeClock;
let partitions: Partition[];
let sessions: FetchSessions;
let follower: FetchingNode;

function publish(partition: number): void {
  partitions[partition]!.append(batchOf(1));
}

/** Node `a` leads it, `b` fetches in the test, `c` says how far it is. */
function leading(partition: number): Partition {
  const led = idlePartition({ clock, partition });
  led.lead(leadershipOf(EPOCH, { replicas: NODES, isr: NODES }));
  return led;
}

beforeEach(() => {
  clock = new FakeClock();
  partitions = [leading(0), leading(1)];
  sessions = new FetchSessions({ clock, find: (_, partition) => partitions[partition] });
  follower = new FetchingNode('b', sessions);
});

describe('the watermark of a copy that nobody reads', () => {
  let asked: Asked;

  /** It moves to 2 while a request waits, of a follower that has all batches. */
  beforeEach(async () => {
    publish(0);
    publish(0);
    partitions[0]!.reportFollower('c', 1, 0);
    await follower.ask([at(0, 0, { unread: true }), at(1, 0)]).now();
    await follower.ask([at(0, 2, { unread: true })]).now();
    asked = follower.ask();
    await asked.now();
    partitions[0]!.reportFollower('c', 2, 0);
    expect(await asked.now()).toBe('waits');
  });

  it('is told a little later', async () => {
    clock.advance(24);
    expect(await asked.now()).toBe('waits');
    clock.advance(1);
    expect(await asked.now()).toEqual(['0: [] hw 2']);
  });

  it('is told with the next batches, and not again', async () => {
    publish(0);
    expect(await asked.now()).toEqual(['0: [2] hw 2']);
    const next = follower.ask();
    clock.advance(25);
    expect(await next.now()).toBe('waits');
  });

  it('is told with the next batches of another partition', async () => {
    publish(1);
    expect(await asked.now()).toEqual(['1: [0] hw 0', '0: [] hw 2']);
  });

  it('is told when somebody begins to read', async () => {
    void follower.ask([at(0, 2, { unread: false })]);
    expect(await asked.now()).toEqual(['0: [] hw 2']);
  });

  it.each<[string, string[], (partition: Partition) => void]>([
    ['where the log begins', ['0: [] hw 2 from 1'], (partition) => partition.deleteBefore(1)],
    ['who leads', ['0: NOT_LEADER'], (partition) => partition.follow(EPOCH + 1)],
  ])('holds up no news of %s', async (_what, expected, change) => {
    change(partitions[0]!);
    expect(await asked.now()).toEqual(expected);
  });

  it('leaves no timer when the session is over', () => {
    const { pendingTimers } = clock;
    sessions.forget('b');
    expect(pendingTimers - clock.pendingTimers).toBe(2); // that of the request, and its own
  });
});
