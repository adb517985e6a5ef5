import { describe, expect, it } from 'vitest';
import { GarbageAllowance } from '../../../src/cli/v8/garbage-allowance.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const MiB = 1024 * 1024;

describe('garbage that may gather', () => {
  function start(usedBytes: number) {
    const clock = new FakeClock();
    const told: number[] = [];
    const memory = {
      used: usedBytes,
      collected: 0,
      usedBytes: () => memory.used,
      collections: () => memory.collected,
      setGrowthPercent: (percent: number) => void told.push(percent),
    };
    const allowance = new GarbageAllowance(clock, memory, { leastBytes: 200 * MiB, mostBytes: 500 * MiB });
    allowance.start();
    /** So many seconds, of each of which something is collected. */
    const collect = (seconds: number): void => {
      for (let n = 0; n < seconds; n += 1) {
        memory.collected += 1;
        clock.advance(1_000);
      }
    };
    return { clock, told, memory, allowance, collect };
  }

  it('is as much as allowed, as a share of what is in use', () => {
    expect(start(100 * MiB).told).toEqual([200]);
  });

  it('is a tenth of what is in use where that is more', () => {
    expect(start(10_000 * MiB).told).toEqual([10]);
  });

  it('is at most five times what is in use', () => {
    expect(start(MiB).told).toEqual([500]);
  });

  it('is told again only when it is another', () => {
    const { clock, told, memory } = start(100 * MiB);
    clock.advance(5_000);
    expect(told).toEqual([200]);
    memory.used = 400 * MiB;
    clock.advance(1_000);
    expect(told).toEqual([200, 50]);
  });

  it('is twice as much when it was collected twice within four seconds, again and again, up to a bound', () => {
    const { clock, told, collect } = start(200 * MiB);
    collect(1);
    clock.advance(2_000);
    expect(told).toEqual([100]);
    collect(1);
    expect(told).toEqual([100, 200]);
    collect(5);
    expect(told).toEqual([100, 200, 250]);
  });

  it('stays as it is while it is collected now and then', () => {
    const { clock, told, collect } = start(200 * MiB);
    collect(2);
    for (let n = 0; n < 10; n += 1) {
      clock.advance(10_000);
      collect(1);
    }
    expect(told).toEqual([100, 200]);
  });

  it('is as little as in the beginning after a minute in which nothing was collected', () => {
    const { clock, told, collect } = start(200 * MiB);
    collect(2);
    clock.advance(59_000);
    expect(told).toEqual([100, 200]);
    clock.advance(1_000);
    expect(told).toEqual([100, 200, 100]);
  });

  it('is not looked after once it is stopped', () => {
    const { clock, told, memory, allowance } = start(100 * MiB);
    allowance.stop();
    memory.used = 400 * MiB;
    clock.advance(10_000);
    expect(told).toEqual([200]);
  });
});
