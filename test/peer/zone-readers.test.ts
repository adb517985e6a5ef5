import { beforeEach, describe, expect, it } from 'vitest';
import { ZoneReaders } from '../../src/peer/zone-readers.ts';
import { idlePartition } from '../partition/fixture.ts';
import { FakeClock } from '../support/fake-clock.ts';

const ZONES: Readonly<Record<string, string>> = { a: 'y', b: 'y', c: 'y', d: 'z' };
const partition = idlePartition();
let clock: FakeClock;
let readers: ZoneReaders;

/** A node that is at `offset` has asked, and got what is below `end`. @returns whom it is told of */
const note = (nodeId: string, offset = 0, end = offset, of = partition) =>
  readers.note(of, { nodeId, offset, end });

beforeEach(() => {
  clock = new FakeClock();
  readers = new ZoneReaders({ clock, farZoneOf: (nodeId) => ZONES[nodeId] });
});

describe('nodes of another zone that read a partition', () => {
  it('are told of the first of them, which is told of nobody', () => {
    const told = ['a', 'b', 'c', 'a'].map((id) => note(id));
    expect(told).toEqual([undefined, 'a', 'a', undefined]);
  });

  it('are told of nobody in a third zone, nor of who reads another partition', () => {
    note('a');
    expect([note('d'), note('b', 0, 0, idlePartition())]).toEqual([undefined, undefined]);
  });

  it('have another first one when that has not read for two seconds', () => {
    note('a');
    clock.advance(1500);
    note('a');
    clock.advance(1999);
    expect(note('b')).toBe('a');
    clock.advance(1);
    expect([note('b'), note('a')]).toEqual([undefined, 'b']);
  });

  it('are told of nobody who is behind them, but are the first then', () => {
    note('a', 100, 200);
    expect([note('b', 201, 202), note('a', 200, 210), note('c', 150, 160)]).toEqual([undefined, 'b', 'b']);
  });

  it('are told of the first in the end when all keep pace, although each has got more last than the other', () => {
    const told: (string | undefined)[] = [];
    for (let offset = 0; offset < 100; offset += 10) {
      note('a', offset, offset + 10);
      told.push(note('b', offset + 5, offset + 15));
    }
    expect(new Set(told)).toEqual(new Set(['a']));
  });

  it('are no business of whom it cannot be told where they are', () => {
    expect(['x', 'y'].map((id) => note(id))).toEqual([undefined, undefined]);
  });
});
