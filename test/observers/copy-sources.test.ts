import { beforeEach, describe, expect, it } from 'vitest';
import { CopySources } from '../../src/observers/copy-sources.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { StageCluster } from './observer-stage.ts';

let cluster: StageCluster;
let clock: FakeClock;

beforeEach(() => {
  cluster = new StageCluster();
  clock = new FakeClock();
  for (const [id, zone] of Object.entries({ a: 'x', b: 'x', c: 'x', d: 'y', e: 'y' }))
    cluster.join(id, { zone });
});

function sources(seed = 1, zone = 'x'): CopySources {
  const random = new SeededRandom(seed);
  return new CopySources({ cluster, selfId: 'a', zone, clock, random }, { topicId: 't1', partition: 0 });
}

describe('the source of a copy', () => {
  it('is a follower in the own zone', () => {
    cluster.put({ leader: 'b', isr: ['b', 'c', 'd'] });
    expect(sources().current()).toBe('c');
  });

  it('is the leader where only that is in the own zone', () => {
    cluster.put({ leader: 'b', isr: ['b', 'd', 'e'] });
    expect(sources().current()).toBe('b');
  });

  it('is a follower elsewhere before the leader elsewhere', () => {
    cluster.put({ leader: 'd', isr: ['d', 'e'] });
    expect(sources().current()).toBe('e');
  });

  it('is never this node, nor one that is not in sync, not a member or cannot be reached', () => {
    cluster.join('f', { zone: 'x', peerAddress: null });
    cluster.put({ leader: 'e', replicas: ['a', 'b', 'e', 'f', 'g'], isr: ['a', 'e', 'f', 'g'] });
    expect(sources().current()).toBe('e');
  });

  it('is none that is about to go, while there are others as near', () => {
    cluster.leave('c');
    cluster.join('c', { zone: 'x', draining: true });
    cluster.put({ leader: 'b', isr: ['b', 'c'] });
    expect(sources().current()).toBe('b');
  });

  it('is another one for other observers, and stays the same for each', () => {
    cluster.put({ leader: 'd', isr: ['b', 'c', 'd'] });
    const chosen = new Set<string | undefined>();
    for (let seed = 0; seed < 20; seed++) {
      const one = sources(seed);
      const first = one.current();
      for (let n = 0; n < 20; n++) expect(one.current()).toBe(first);
      chosen.add(first);
    }
    expect(chosen).toEqual(new Set(['b', 'c']));
  });

  it('is another one when it is not in sync any more', () => {
    cluster.put({ leader: 'd', isr: ['b', 'd'] });
    const one = sources();
    expect(one.current()).toBe('b');
    cluster.put({ isr: ['c', 'd'] });
    expect(one.current()).toBe('c');
  });

  it('is a nearer one when there is one', () => {
    cluster.put({ leader: 'd', isr: ['d', 'e'] });
    const one = sources();
    expect(one.current()).toBe('e');
    cluster.put({ isr: ['c', 'd', 'e'] });
    expect(one.current()).toBe('c');
  });

  it('is none while nobody has a copy', () => {
    const one = sources();
    expect([one.current(), one.leader]).toEqual([undefined, null]);
    expect(one.waitMs()).toBeGreaterThan(0);
  });
});

describe('a source that fails', () => {
  it('is left alone for a while, longer each time', () => {
    cluster.put({ leader: 'b', isr: ['b'] });
    const one = sources();
    const waits: number[] = [];
    for (let n = 0; n < 8; n++) {
      one.failed('b');
      expect(one.current()).toBeUndefined();
      waits.push(one.waitMs());
      clock.advance(one.waitMs());
      expect(one.current()).toBe('b');
    }
    expect(waits[0]).toBeLessThanOrEqual(50);
    expect(waits[7]).toBeGreaterThanOrEqual(1000);
    expect(Math.max(...waits)).toBeLessThanOrEqual(2000);
    one.worked('b');
    one.failed('b');
    expect(one.waitMs()).toBeLessThanOrEqual(50);
  });

  it('gives way to those that are farther', () => {
    cluster.put({ leader: 'b', isr: ['b', 'c', 'd'] });
    const one = sources();
    one.failed('c');
    expect(one.current()).toBe('b');
    one.failed('b');
    expect(one.current()).toBe('d');
  });
});

describe('who leads', () => {
  it('is the node of the state, in its epoch only', () => {
    cluster.put({ leader: 'b', leaderEpoch: 3, isr: ['b', 'c'] });
    const one = sources();
    expect([one.isLeader('b', 3), one.isLeader('b', 2), one.isLeader('b', 4), one.isLeader('c', 3)]).toEqual([
      true,
      false,
      false,
      false,
    ]);
  });
});

describe('a relay', () => {
  beforeEach(() => cluster.put({ leader: 'd', isr: ['d', 'e'] }));

  it('is read while all replicas are in other zones', () => {
    const one = sources();
    one.point('b');
    expect([one.current(), one.replica(), one.isRelay('b'), one.has('b')]).toEqual(['b', 'e', true, true]);
    cluster.put({ isr: ['c', 'd', 'e'] });
    expect(one.current()).toBe('c');
  });

  it('gives way to the replica while it rests', () => {
    const one = sources();
    one.point('b');
    one.failed('b');
    expect(one.current()).toBe('e');
    clock.advance(50);
    expect(one.current()).toBe('b');
  });

  it.each([
    ['is this node', 'a'],
    ['is in another zone', 'e'],
    ['is no member', 'z'],
  ])('is none when it %s', (_what, id) => {
    cluster.put({ leader: 'd', isr: ['d'] });
    const one = sources();
    one.point(id);
    expect([one.current(), one.has(id)]).toEqual(['d', false]);
  });

  it('is read also while no replica can be', () => {
    const one = sources();
    one.point('b');
    for (const id of ['d', 'e']) one.failed(id);
    expect(one.current()).toBe('b');
  });
});

describe('replicas in other zones', () => {
  it('are chosen alike by all nodes of a zone, and by other zones and for other partitions otherwise', () => {
    const ids = ['d', 'e', 'f', 'g', 'h'];
    for (const id of ids.slice(2)) cluster.join(id, { zone: 'y' });
    cluster.put({ leader: 'd', isr: ids });
    const chosen = Array.from({ length: 10 }, (_, seed) => sources(seed).current());
    expect(new Set(chosen).size).toBe(1);
    const zones = Array.from({ length: 20 }, (_, n) => sources(1, `z${n}`).current());
    expect(new Set(zones).size).toBe(4);
  });
});
