import { beforeEach, describe, expect, it } from 'vitest';
import { FollowerProgress } from '../../src/partition/follower-progress.ts';

const END = 10;
let follower: FollowerProgress;

const report = (durableStart: number, nowMs: number) => follower.report(END, durableStart, END, nowMs);

beforeEach(() => {
  follower = new FollowerProgress('b', 0);
  report(0, 0);
});

describe('a follower that has all records', () => {
  it('is behind from the first deletion on that it has not done', () => {
    follower.deletedBelow(3, 1000);
    follower.deletedBelow(4, 2000);
    follower.deletedBelow(5, 3000);
    expect([follower.isBehind(END), follower.lagMs(END, 4000)]).toEqual([true, 3000]);
    report(3, 4000);
    expect(follower.lagMs(END, 4000)).toBe(2000);
    report(4, 5000);
    expect(follower.lagMs(END, 5000)).toBe(3000);
    report(5, 6000);
    expect([follower.isBehind(END), follower.lagMs(END, 7000)]).toEqual([false, 0]);
  });

  it('is not behind for what it has deleted, and no younger in it when that is asked for again', () => {
    report(3, 0);
    follower.deletedBelow(3, 1000);
    expect(follower.isBehind(END)).toBe(false);
    follower.deletedBelow(5, 1000);
    follower.deletedBelow(5, 3000);
    expect(follower.lagMs(END, 4000)).toBe(3000);
    report(5, 4000);
    expect(follower.isBehind(END)).toBe(false);
  });

  it('is never far behind while it keeps pace with deletions, although it is never done', () => {
    const lags: number[] = [];
    for (let offset = 1; offset < END; offset++) {
      const nowMs = offset * 1000;
      follower.deletedBelow(offset, nowMs);
      report(offset - 1, nowMs);
      lags.push(follower.lagMs(END, nowMs));
    }
    expect(Math.max(...lags)).toBeLessThanOrEqual(1000);
  });
});
