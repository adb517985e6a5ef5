import { describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../src/kernel/errors.ts';
import { SluiceError } from '../../src/kernel/errors.ts';
import type { Self } from '../../src/node/members.ts';
import { alternativesTo, clientNodes, handOver, tellCluster } from '../../src/node/members.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { EventLog } from './event-log.ts';
import { FakeCluster, member } from './fake-cluster.ts';

const SELF: Self = { nodeId: 'a', zone: 'east', urls: () => ['quic://here:1'] };

describe('nodes that clients are told of', () => {
  it('begin with this one, as it is here, and leave out who does not listen or wants to go', () => {
    const cluster = new FakeCluster([
      member('a', { clientUrls: [] }),
      member('b', { zone: 'west' }),
      member('c', { clientUrls: [] }),
      member('d', { draining: true }),
    ]);
    expect(clientNodes(SELF, cluster)).toEqual([
      { nodeId: 'a', zone: 'east', urls: ['quic://here:1'] },
      { nodeId: 'b', zone: 'west', urls: ['quic://b:7450'] },
    ]);
  });

  it('are, when this one goes, some others, those of its zone first', () => {
    const many = Array.from({ length: 30 }, (_, n) => member(`n${n}`, { zone: n === 25 ? 'east' : 'west' }));
    const urls = alternativesTo(SELF, new FakeCluster([member('a'), ...many]));
    expect([urls[0], urls[1], urls.length]).toEqual(['quic://n25:7450', 'quic://n0:7450', 16]);
  });
});

describe('a node that tells its cluster what it is', () => {
  const tell = async (leaseHeld: boolean, code: ErrorCode): Promise<readonly string[]> => {
    const log = new EventLog();
    const announce = () => Promise.reject(new SluiceError(code, 'not now'));
    await tellCluster({ announce, leaseHeld }, {}, log);
    return log.written.map(({ evt }) => evt);
  };

  it('goes on without a lease, with which it is told later', async () => {
    expect(await tell(false, 'UNAVAILABLE')).toEqual(['cluster.announced_later']);
  });

  it('does not go on when it cannot be told for another reason', async () => {
    await expect(tell(true, 'UNAVAILABLE')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(tell(false, 'TIMEOUT')).rejects.toMatchObject({ code: 'TIMEOUT' });
  });
});

describe('handing over', () => {
  function start(cluster: FakeCluster): { clock: FakeClock; left: Promise<number>; isOver: () => boolean } {
    const clock = new FakeClock();
    let over = false;
    const left = handOver('a', cluster, clock, 1000).finally(() => (over = true));
    return { clock, left, isOver: () => over };
  }

  it('waits until others lead everything', async () => {
    const cluster = new FakeCluster([member('a'), member('b')]);
    cluster.leaders = ['a', 'b', 'a'];
    const { left, isOver } = start(cluster);
    await Promise.resolve();
    expect(cluster.announced).toEqual([{ draining: true }]);
    cluster.lead(0, 'b');
    await Promise.resolve();
    expect(isOver()).toBe(false);
    cluster.lead(2, null);
    expect([await left, cluster.watchers]).toEqual([0, 0]);
  });

  it('takes no longer than it may', async () => {
    const cluster = new FakeCluster([member('a'), member('b')]);
    cluster.leaders = ['a'];
    const { clock, left } = start(cluster);
    await Promise.resolve();
    clock.advance(1000);
    expect([await left, cluster.watchers]).toEqual([1, 0]);
  });

  it('ends when all others go too', async () => {
    const cluster = new FakeCluster([member('a'), member('b'), member('c')]);
    cluster.leaders = ['a'];
    const { left, isOver } = start(cluster);
    await Promise.resolve();
    cluster.alter(member('b', { draining: true }));
    await Promise.resolve();
    expect(isOver()).toBe(false);
    cluster.alter(member('c', { draining: true }));
    expect([await left, cluster.watchers]).toEqual([1, 0]);
  });

  it('waits for nothing that no other node has a copy of', async () => {
    const cluster = new FakeCluster([member('a'), member('b')]);
    cluster.leaders = ['a', 'a'];
    cluster.replicas = ['a'];
    expect(await start(cluster).left).toBe(2);
  });

  it('ends with the membership', async () => {
    const cluster = new FakeCluster([member('a'), member('b')]);
    cluster.leaders = ['a', 'a'];
    const { left } = start(cluster);
    await Promise.resolve();
    cluster.leaseHeld = false;
    cluster.lead(0, 'b');
    expect(await left).toBe(1);
  });

  it.each([
    ['nobody else is there', [member('a')]],
    ['all others go too', [member('a'), member('b', { draining: true })]],
  ])('waits for nobody where %s', async (_why, members) => {
    const cluster = new FakeCluster(members);
    cluster.leaders = ['a'];
    expect(await start(cluster).left).toBe(1);
  });
});
