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
      usedBytes: () => memory.used,
      setGrowthPercent: (percent: number) => void told.push(percent),
    };
    const allowance = new GarbageAllowance(clock, memory, 200 * MiB);
    allowance.start();
    return { clock, told, memory, allowance };
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

  it('is not looked after once it is stopped', () => {
    const { clock, told, memory, allowance } = start(100 * MiB);
    allowance.stop();
    memory.used = 400 * MiB;
    clock.advance(10_000);
    expect(told).toEqual([200]);
  });
});
