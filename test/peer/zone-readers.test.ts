import { beforeEach, describe, expect, it } from 'vitest';
import { ZoneReaders } from '../../src/peer/zone-readers.ts';
import { idlePartition } from '../partition/fixture.ts';
import { FakeClock } from '../support/fake-clock.ts';

const ZONES: Readonly<Record<string, string>> = { a: 'y', b: 'y', c: 'y', d: 'z' };
const partition = idlePartition();
let clock: FakeClock;
let readers: ZoneReaders;

beforeEach(() => {
  clock = new FakeClock();
  readers = new ZoneReaders({ clock, farZoneOf: (nodeId) => ZONES[nodeId] });
});

describe('nodes of another zone that read a partition', () => {
  it('are told of the first of them, which is told of nobody', () => {
    const told = ['a', 'b', 'c', 'a'].map((id) => readers.note(partition, id));
    expect(told).toEqual([undefined, 'a', 'a', undefined]);
  });

  it('are told of nobody in a third zone, nor of who reads another partition', () => {
    readers.note(partition, 'a');
    expect([readers.note(partition, 'd'), readers.note(idlePartition(), 'b')]).toEqual([
      undefined,
      undefined,
    ]);
  });

  it('have another first one when that has not read for two seconds', () => {
    readers.note(partition, 'a');
    clock.advance(1500);
    readers.note(partition, 'a');
    clock.advance(1999);
    expect(readers.note(partition, 'b')).toBe('a');
    clock.advance(1);
    expect([readers.note(partition, 'b'), readers.note(partition, 'a')]).toEqual([undefined, 'b']);
  });

  it('are no business of whom it cannot be told where they are', () => {
    expect(['x', 'y'].map((id) => readers.note(partition, id))).toEqual([undefined, undefined]);
  });
});
