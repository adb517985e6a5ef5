/** Each promise is broken once by hand, so that a checker that looks away is seen. */
import { describe, expect, it } from 'vitest';
import type { PartitionState } from '../../src/coordination/cluster.ts';
import { MemoryBudget } from '../../src/log/memory-budget.ts';
import { NO_STATE } from '../../src/log/log-state.ts';
import { MemoryLog } from '../../src/log/memory-log.ts';
import type { Partition } from '../../src/partition/partition.ts';
import { stampBatch } from '../../src/wire/record-batch.ts';
import { batchOf } from '../support/batch.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { Checker } from './checker.ts';
import type { ProducerPromise } from './committed.ts';
import { Committed } from './committed.ts';
import type { SimReplica } from './replica.ts';
import { WatchedLog } from './watched-log.ts';

interface Copy extends SimReplica {
  readonly object: Partition & { role: string; leaderEpoch: number; highWatermark: number };
}

const ISR: PartitionState = { replicas: ['a', 'b'], leader: 'a', leaderEpoch: 1, isr: ['a', 'b'] };

/** A checker of one partition and its copies on nodes `a` and `b`. */
class CheckerStage {
  readonly committed: Committed;
  readonly checker: Checker;
  readonly a = copy('a');
  readonly b = copy('b');

  constructor(promise: ProducerPromise = 'none') {
    this.committed = new Committed('p0', new Map([['w', promise]]));
    this.checker = new Checker([this.committed], { retentionRecords: 0, minInsync: 2, storage: 'disk' });
    this.checker.opened(this.a);
    this.checker.opened(this.b);
    this.checker.stateChanged(0, ISR);
    this.lead(this.a, 1);
  }

  lead(who: Copy, epoch: number): void {
    Object.assign(who.object, { role: 'leader', leaderEpoch: epoch });
    this.look(who);
  }

  append(who: Copy, text: string, epoch = 1): void {
    const batch = batchOf([{ value: text }]);
    stampBatch(batch, who.log.logEnd, epoch);
    who.log.append(batch);
  }

  /** Both have it, and both know that. */
  commit(text: string): void {
    for (const one of [this.a, this.b]) this.append(one, text);
    for (const one of [this.a, this.b]) this.moveWatermark(one, one.log.logEnd);
  }

  moveWatermark(who: Copy, to: number): void {
    Object.assign(who.object, { highWatermark: to });
    this.look(who);
  }

  look(who: Copy): void {
    this.checker.look(who.nodeId);
  }
}

function copy(nodeId: string): Copy {
  const limits = { retentionBytes: 0, retentionMs: 0, retentionRecords: 0 };
  const log = new MemoryLog({
    clock: new FakeClock(),
    firstOffset: 0,
    limits,
    budget: new MemoryBudget(Infinity),
    state: NO_STATE,
  });
  const object = { role: 'follower', leaderEpoch: 1, highWatermark: 0 } as unknown as Copy['object'];
  return { nodeId, process: 0, partition: 0, object, log: new WatchedLog(log) };
}

const breaking = (property: string): Error => expect.objectContaining({ property }) as Error;

describe('the checker', () => {
  it('finds nothing where all is well', () => {
    const stage = new CheckerStage('exact');
    stage.commit('w:0');
    stage.commit('w:1');
    stage.checker.stateChanged(0, { ...ISR, leader: 'b', leaderEpoch: 2 });
    stage.lead(stage.b, 2);
    expect(stage.committed.end).toBe(2);
  });

  it('sees a high watermark fall', () => {
    const stage = new CheckerStage();
    stage.commit('w:0');
    expect(() => stage.moveWatermark(stage.b, 0)).toThrow(breaking('the high watermark never falls'));
  });

  it('sees a leader without a committed record', () => {
    const stage = new CheckerStage();
    stage.append(stage.b, 'w:0');
    stage.append(stage.a, 'w:0');
    stage.moveWatermark(stage.a, 1);
    stage.checker.stateChanged(0, { ...ISR, isr: ['a'] });
    void stage.b.log.truncate(0);
    expect(() => stage.lead(stage.b, 2)).toThrow(breaking('an acknowledged record is on every later leader'));
  });

  it('lets one that leads an epoch that is over be without it', () => {
    const stage = new CheckerStage();
    const late = copy('c');
    stage.checker.opened(late);
    stage.checker.stateChanged(0, { ...ISR, leaderEpoch: 3 });
    stage.lead(stage.a, 3);
    stage.commit('w:0');
    stage.lead(late, 2);
    expect(stage.committed.end).toBe(1);
  });

  it('sees a leader with another record in place of a committed one', () => {
    const stage = new CheckerStage();
    stage.commit('w:0');
    void stage.b.log.truncate(0);
    stage.append(stage.b, 'x:0');
    expect(() => stage.lead(stage.b, 2)).toThrow(breaking('an acknowledged record is on every later leader'));
  });

  it('sees two leaders of one epoch', () => {
    const stage = new CheckerStage();
    expect(() => stage.lead(stage.b, 1)).toThrow(breaking('one leader in each epoch'));
  });

  it('sees an in-sync copy that has not all that is committed', () => {
    const stage = new CheckerStage();
    stage.append(stage.a, 'w:0');
    expect(() => stage.moveWatermark(stage.a, 1)).toThrow(
      breaking('in-sync copies have all that is committed'),
    );
  });

  it('sees a copy taken for in sync that has not all that is committed', () => {
    const stage = new CheckerStage();
    stage.checker.stateChanged(0, { ...ISR, isr: ['a'] });
    stage.append(stage.a, 'w:0');
    stage.moveWatermark(stage.a, 1);
    expect(() => stage.checker.stateChanged(0, ISR)).toThrow(
      breaking('in-sync copies have all that is committed'),
    );
  });

  it('sees copies that differ below the watermark', () => {
    const stage = new CheckerStage();
    stage.append(stage.a, 'w:0');
    stage.append(stage.b, 'x:0');
    stage.moveWatermark(stage.a, 1);
    expect(() => stage.moveWatermark(stage.b, 1)).toThrow(breaking('copies are equal up to the watermark'));
  });

  it('sees a leader on disk that drops what is not committed', () => {
    const stage = new CheckerStage();
    stage.append(stage.a, 'w:0');
    stage.look(stage.a);
    stage.a.log.deleteBefore(1);
    expect(() => stage.look(stage.a)).toThrow(breaking('retention on disk takes only what is committed'));
  });

  it('sees what was deleted on a later leader, and nothing wrong in what somebody asks to be deleted', () => {
    const stage = new CheckerStage();
    stage.commit('w:0');
    const { checker } = stage;
    checker.erasing(0, 1);
    stage.a.log.deleteBefore(1);
    stage.look(stage.a);
    checker.erased(0, 1);
    expect(() => stage.lead(stage.b, 9)).toThrow(breaking('what was deleted does not come back'));
  });

  it('sees a follower ahead of all leaders', () => {
    const stage = new CheckerStage();
    stage.append(stage.b, 'w:0');
    expect(() => stage.moveWatermark(stage.b, 1)).toThrow(
      breaking('a follower sees what a leader has shown'),
    );
  });

  it('sees what an idempotent producer has twice, and what is left out', () => {
    const twice = new CheckerStage('exact');
    twice.commit('w:0');
    expect(() => twice.commit('w:0')).toThrow(breaking('no duplicates of an idempotent producer'));
    const without = new CheckerStage('exact');
    without.commit('w:0');
    expect(() => without.commit('w:2')).toThrow(breaking('order of a producer'));
  });

  it.each([
    [{ nextOffset: 2 }, 'what is acknowledged is committed'],
    [{ epoch: 2 }, 'one leader in each epoch'],
    [{ isMember: false }, 'who acknowledges is a member'],
  ])('sees an acknowledgement with %o', (wrong, property) => {
    const stage = new CheckerStage();
    stage.commit('w:0');
    const right = { replica: stage.a, epoch: 1, nextOffset: 1, all: true, isMember: true };
    stage.checker.acknowledged(right);
    stage.look(stage.a);
    stage.checker.acknowledged({ ...right, ...wrong });
    expect(() => stage.look(stage.a)).toThrow(breaking(property));
  });

  it('sees an epoch fall', () => {
    const stage = new CheckerStage();
    expect(() => stage.checker.stateChanged(0, { ...ISR, leaderEpoch: 0 })).toThrow(
      breaking('epochs never fall'),
    );
  });

  it('lets a copy that was destroyed be behind until it has left the in-sync replicas', () => {
    const stage = new CheckerStage();
    stage.commit('w:0');
    stage.checker.destroyed('b');
    const fresh = copy('b');
    stage.checker.opened(fresh);
    stage.look(fresh);
    stage.checker.stateChanged(0, { ...ISR, isr: ['a'] });
    expect(() => stage.checker.stateChanged(0, ISR)).toThrow(
      breaking('in-sync copies have all that is committed'),
    );
  });

  it('sees a record that was acknowledged at another offset', () => {
    const stage = new CheckerStage();
    stage.commit('w:0');
    stage.committed.checkAt(0, 'w:0');
    expect(() => stage.committed.checkAt(0, 'w:1')).toThrow(
      breaking('an acknowledged record never changes offset'),
    );
  });
});
