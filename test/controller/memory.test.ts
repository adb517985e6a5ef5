import { beforeEach, describe, expect, it } from 'vitest';
import { ControllerMemory } from '../../src/controller/memory.ts';
import type { PartitionState } from '../../src/coordination/cluster.ts';
import { nodeOf } from './fake-cluster.ts';

const RENAME_AFTER_MS = 5000;
const STATE: PartitionState = { replicas: ['a', 'b'], leader: 'a', leaderEpoch: 1, isr: ['a', 'b'] };

let nowMs: number;
let memory: ControllerMemory;

/** The members of now: a letter, and a digit for which session; `?`: not reachable yet. */
function see(...members: string[]): void {
  const nodes = members.map((member) =>
    nodeOf(member[0]!, { session: member, peerAddress: member.endsWith('?') ? null : 'x:1' }),
  );
  memory.seeNodes(nodes, () => [['t/0', STATE]]);
}

beforeEach(() => {
  nowMs = 1000;
  memory = new ControllerMemory(() => nowMs, RENAME_AFTER_MS);
  see('a1', 'b1');
});

describe('what a controller remembers of a node', () => {
  it('is since when it is there', () => {
    nowMs += 500;
    see('a1', 'b1');
    expect([memory.presentMs('a'), memory.absentMs('a')]).toEqual([500, 0]);
  });

  it('is since when it is gone, or not reachable', () => {
    nowMs += 500;
    see('a1?');
    nowMs += 200;
    see('a1?');
    expect([memory.presentMs('a'), memory.absentMs('a'), memory.absentMs('b')]).toEqual([0, 200, 200]);
  });

  it('is that one it has never seen has been gone since it was elected', () => {
    nowMs += 700;
    expect(memory.absentMs('c')).toBe(700);
  });

  it('begins with each session, also when nobody saw the end of the one before', () => {
    nowMs += 500;
    see('a2', 'b1');
    nowMs += 100;
    expect([memory.presentMs('a'), memory.presentMs('b')]).toEqual([100, 600]);
  });

  it('is what it may have lost in memory, until the state of the partition changes', () => {
    see('a2', 'b1');
    expect([memory.hasLostData('t/0', 'a'), memory.hasLostData('t/0', 'b')]).toEqual([true, false]);
    memory.seeChange('t/0');
    expect(memory.hasLostData('t/0', 'a')).toBe(false);
  });

  it('is where it was taken out of sync, until it is back', () => {
    see('a1');
    memory.did('t/0', STATE, { ...STATE, isr: ['a'] });
    expect([memory.wasExpelled('t/0', 'b'), memory.wasExpelled('t/1', 'b')]).toEqual([true, false]);
    see('a1', 'b2');
    expect(memory.wasExpelled('t/0', 'b')).toBe(false);
  });

  it('is that it was just named, for a while and in that session', () => {
    memory.did('t/0', STATE, { ...STATE, leader: 'b' });
    expect([memory.wasJustNamed('t/0', 'b'), memory.wasJustNamed('t/0', 'a')]).toEqual([true, false]);
    nowMs += RENAME_AFTER_MS;
    expect(memory.wasJustNamed('t/0', 'b')).toBe(false);
    memory.did('t/0', STATE, { ...STATE, leader: 'b' });
    see('a1', 'b2');
    expect(memory.wasJustNamed('t/0', 'b')).toBe(false);
  });

  it('does not count as named who leads as before', () => {
    memory.did('t/0', STATE, { ...STATE, isr: ['a'] });
    expect(memory.wasJustNamed('t/0', 'a')).toBe(false);
  });
});

describe('what a controller remembers of a partition', () => {
  it('is since when its state is as it is', () => {
    nowMs += 300;
    expect(memory.quietMs('t/0')).toBe(300);
    memory.seeChange('t/0');
    nowMs += 50;
    expect(memory.quietMs('t/0')).toBe(50);
  });

  it('is nothing once it is gone', () => {
    see('a1');
    memory.did('t/0', STATE, { ...STATE, leader: 'a', isr: ['a'] });
    memory.did('t/0', { ...STATE, leader: null }, STATE);
    nowMs += 100;
    memory.seeChange('t/0');
    memory.forget('t/0');
    expect([memory.wasExpelled('t/0', 'b'), memory.wasJustNamed('t/0', 'a'), memory.quietMs('t/0')]).toEqual([
      false,
      false,
      100,
    ]);
  });
});
