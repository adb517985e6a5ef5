import { beforeEach, describe, expect, it } from 'vitest';
import { SluiceError } from '../../src/kernel/errors.ts';
import { ByteBudget } from '../../src/log/byte-budget.ts';
import { Follower } from '../../src/partition/follower.ts';
import type { FetchedPartition } from '../../src/partition/replication.ts';
import { BATCH_FIELD } from '../../src/wire/record-batch.ts';
import { stampedBatch, textOf } from '../support/batch.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { turns } from '../support/turns.ts';
import { ScriptedReplica } from './following-replica.ts';

const EPOCH = 5;

function answer(parts: Partial<FetchedPartition> = {}): FetchedPartition {
  const base = { topicId: 't', partition: 0, leaderEpoch: EPOCH, batches: [] };
  return { ...base, logStart: 0, logEnd: 0, highWatermark: 0, ...parts };
}

function changedAt(batch: Buffer, at: number, value: number): Buffer {
  batch.writeInt32BE(value, at);
  return batch;
}

describe('Follower', () => {
  let clock: FakeClock;
  let replica: ScriptedReplica;
  let pending: ByteBudget;
  let changes: number;
  let told: string[];
  let follower: Follower;
  let completions: number;

  beforeEach(() => {
    clock = new FakeClock();
    replica = new ScriptedReplica();
    pending = new ByteBudget(1e6);
    changes = 0;
    told = [];
    completions = 0;
    follower = follow();
  });

  function follow(): Follower {
    return new Follower({
      topicId: 't',
      partition: 0,
      replica,
      epoch: EPOCH,
      isInSync: () => true,
      clock,
      random: new SeededRandom(1),
      pending,
      onChange: () => changes++,
      onComplete: () => completions++,
      observer: {
        onTruncated: (from, to) => told.push(`truncated ${from} ${to}`),
        onReset: (from, to) => told.push(`reset ${from} ${to}`),
        onPaused: (code) => told.push(`paused ${code}`),
      },
    });
  }

  /** A log as earlier leaders have written it. */
  function hold(...batches: readonly Buffer[]): void {
    replica.appendReplicated(batches, { highWatermark: 0, logStart: 0 });
    follower = follow();
  }

  it('begins where its log ends, with the epoch of its last batch', () => {
    expect(follower.position()).toMatchObject({ fetchOffset: 0, durableOffset: 0, lastEpoch: -1 });
    hold(stampedBatch(0, 2, 3));
    expect(follower.position()).toEqual({
      topicId: 't',
      partition: 0,
      leaderEpoch: EPOCH,
      fetchOffset: 2,
      durableOffset: 2,
      lastEpoch: 3,
      durableStart: 0,
      unread: true,
    });
  });

  it('says whether its copy is read, at once when somebody begins to, until it is closed', async () => {
    hold(stampedBatch(0, 2, EPOCH));
    changes = 0;
    replica.isRead = true;
    replica.onRead?.();
    expect([changes, follower.position()?.unread]).toEqual([1, false]);
    const next = follow();
    await follower.close();
    expect(replica.onRead).toBeDefined();
    await next.close();
    expect(replica.onRead).toBeUndefined();
  });

  it('says where its log begins once that is durable, and again when it has gone back', async () => {
    const gate = Promise.withResolvers<undefined>();
    hold(stampedBatch(0, 4, EPOCH));
    expect(follower.position()).toMatchObject({ durableStart: 0 });
    replica.startGate = gate.promise;
    replica.logStart = 3;
    expect(follower.position()).toMatchObject({ durableStart: 0 });
    changes = 0;
    gate.resolve(undefined);
    await turns();
    expect(changes).toBe(1);
    expect(follower.position()).toMatchObject({ durableStart: 3 });
    const again = Promise.withResolvers<undefined>();
    replica.startGate = again.promise;
    follower.take(answer({ diverging: { epoch: EPOCH, endOffset: 4 }, logStart: 3 }));
    clock.advance(1000);
    expect(follower.position()).toMatchObject({ durableStart: 0 });
    again.resolve(undefined);
    await turns();
    expect(follower.position()).toMatchObject({ durableStart: 3 });
  });

  it('asks once more where its disk could not keep where its log begins', async () => {
    hold(stampedBatch(0, 4, EPOCH));
    replica.startGate = Promise.reject(new SluiceError('STORAGE_FULL', 'no room'));
    replica.logStart = 3;
    follower.position();
    await turns();
    expect([told, follower.position()]).toEqual([['paused STORAGE_FULL'], undefined]);
    replica.startGate = undefined;
    clock.advance(1000);
    expect(follower.position()).toMatchObject({ durableStart: 3 });
  });

  it('appends what comes, and hands on what the leader says of itself', () => {
    follower.take(
      answer({ batches: [stampedBatch(0, 2, 4), stampedBatch(2, 1, EPOCH)], highWatermark: 2, logStart: 0 }),
    );
    expect(textOf(replica.batches)).toHaveLength(3);
    expect(replica.leader).toEqual({ highWatermark: 2, logStart: 0 });
    expect(follower.position()).toMatchObject({ fetchOffset: 3, durableOffset: 3, lastEpoch: EPOCH });
    expect(changes).toBeGreaterThan(0);
  });

  it.each([
    ['cut short', (batch: Buffer) => batch.subarray(0, 20)],
    ['of no bytes', () => Buffer.alloc(0)],
    ['that ends before it begins', (batch: Buffer) => changedAt(batch, BATCH_FIELD.LAST_OFFSET_DELTA, -9)],
  ])('takes nothing of an answer with a batch %s, waits, and goes on', (_what, damage) => {
    const good = stampedBatch(0, 1, EPOCH);
    const other = stampedBatch(1, 1, EPOCH);
    follower.take(answer({ batches: [good, damage(Buffer.from(other))], highWatermark: 2 }));
    expect([told, replica.logEnd, follower.position()]).toEqual([['paused CORRUPT_BATCH'], 0, undefined]);
    clock.advance(1000);
    expect(follower.position()).toMatchObject({ fetchOffset: 0 });
    follower.take(answer({ batches: [good, other], highWatermark: 2 }));
    expect(replica.logEnd).toBe(2);
  });

  it('says only what is durable to be so, and says so again once it is', () => {
    replica.isSlow = true;
    const batch = stampedBatch(0, 2, EPOCH);
    follower.take(answer({ batches: [batch] }));
    expect(follower.position()).toMatchObject({ fetchOffset: 2, durableOffset: 0 });
    expect([follower.pendingBytes, pending.usedBytes]).toEqual([batch.length, batch.length]);
    changes = 0;
    replica.sync();
    expect(changes).toBe(1);
    expect(follower.position()).toMatchObject({ fetchOffset: 2, durableOffset: 2 });
    expect([follower.pendingBytes, pending.usedBytes]).toEqual([0, 0]);
  });

  it('says when that becomes durable which it had before it followed', () => {
    replica.isSlow = true;
    hold(stampedBatch(0, 2, 3));
    expect(follower.position()).toMatchObject({ fetchOffset: 2, durableOffset: 0 });
    changes = 0;
    replica.sync();
    expect(changes).toBe(1);
  });

  it('passes over batches that it has already', () => {
    const batches = [stampedBatch(0, 2, EPOCH), stampedBatch(2, 2, EPOCH)];
    follower.take(answer({ batches: [batches[0]!] }));
    follower.take(answer({ batches }));
    expect(replica.batches.map((one) => one.readBigInt64BE())).toEqual([0n, 2n]);
  });

  it('takes holes that compaction has left', () => {
    follower.take(answer({ batches: [stampedBatch(5, 2, EPOCH), stampedBatch(20, 1, EPOCH)] }));
    expect(follower.position()).toMatchObject({ fetchOffset: 21 });
  });

  it('does not listen to a leader of another epoch', () => {
    follower.take(answer({ leaderEpoch: EPOCH + 1, batches: [stampedBatch(0, 2, EPOCH)] }));
    expect(replica.logEnd).toBe(0);
  });

  describe('where histories part', () => {
    it('goes back to where the leader says that the epoch ends', () => {
      hold(stampedBatch(0, 2, 1), stampedBatch(2, 2, 3), stampedBatch(4, 2, 3));
      follower.take(answer({ diverging: { epoch: 3, endOffset: 4 } }));
      expect(replica.calls).toEqual(['truncate 4']);
      expect(follower.position()).toMatchObject({ fetchOffset: 4, lastEpoch: 3 });
      expect(told).toEqual(['truncated 6 4']);
    });

    it('goes back to where the own epoch ends, when that is before', () => {
      hold(stampedBatch(0, 2, 1), stampedBatch(2, 2, 3));
      follower.take(answer({ diverging: { epoch: 2, endOffset: 100 } }));
      expect(replica.calls).toEqual(['truncate 2']);
      expect(follower.position()).toMatchObject({ fetchOffset: 2, lastEpoch: 1 });
    });

    it('begins anew when nothing of its log is the leader’s', () => {
      replica.logStart = 50;
      hold(stampedBatch(50, 2, 3));
      follower.take(answer({ diverging: { epoch: 1, endOffset: 20 } }));
      expect(replica.calls).toEqual(['reset 20']);
      // With no epoch the leader would send it back to its own beginning.
      expect(follower.position()).toMatchObject({ fetchOffset: 20, lastEpoch: 1 });
    });

    it('begins where the leader begins, when that knows none of those who wrote it', () => {
      hold(stampedBatch(0, 30, 3));
      follower.take(answer({ diverging: { epoch: -1, endOffset: 20 } }));
      expect(replica.calls).toEqual(['reset 20']);
      expect(follower.position()).toMatchObject({ fetchOffset: 20, lastEpoch: -1 });
    });

    it('asks for nothing, and takes nothing, until it has gone back', async () => {
      const gate = Promise.withResolvers<undefined>();
      hold(stampedBatch(0, 2, 1), stampedBatch(2, 2, 3));
      replica.gate = gate.promise;
      const { rewinds } = follower;
      follower.take(answer({ diverging: { epoch: 1, endOffset: 2 } }));
      expect(follower.position()).toBeUndefined();
      follower.take(answer({ batches: [stampedBatch(4, 2, EPOCH)] }));
      gate.resolve(undefined);
      await turns();
      expect(follower.position()).toMatchObject({ fetchOffset: 2 });
      expect(follower.rewinds).toBeGreaterThan(rewinds);
    });

    it('rests before it asks again when going back has changed nothing', () => {
      hold(stampedBatch(0, 2, 3));
      follower.take(answer({ diverging: { epoch: 3, endOffset: 2 } }));
      expect(follower.position()).toBeUndefined();
      clock.advance(50);
      expect(follower.position()).toBeDefined();
    });

    it('tries again when the disk refuses', async () => {
      hold(stampedBatch(0, 2, 1), stampedBatch(2, 2, 3));
      replica.gate = Promise.reject(new SluiceError('STORAGE_FAILED', 'test'));
      follower.take(answer({ diverging: { epoch: 1, endOffset: 2 } }));
      await turns();
      expect([told, follower.position()]).toEqual([['paused STORAGE_FAILED'], undefined]);
      clock.advance(50);
      expect(follower.position()).toMatchObject({ fetchOffset: 4 });
    });

    it('is not over before it has gone back', async () => {
      const gate = Promise.withResolvers<undefined>();
      hold(stampedBatch(0, 2, 1), stampedBatch(2, 2, 3));
      replica.gate = gate.promise;
      follower.take(answer({ diverging: { epoch: 1, endOffset: 2 } }));
      let isOver = false;
      const closing = follower.close().then(() => (isOver = true));
      await turns();
      expect(isOver).toBe(false);
      gate.resolve(undefined);
      await closing;
      expect(replica.logEnd).toBe(2);
    });
  });

  describe('outside of what the leader has', () => {
    it('begins at the leader’s first offset', () => {
      hold(stampedBatch(0, 2, 3));
      follower.take(answer({ logStart: 100, logEnd: 120 }));
      expect(follower.position()).toMatchObject({ fetchOffset: 100, durableOffset: 100, lastEpoch: -1 });
      expect(told).toEqual(['reset 2 100']);
    });

    it('takes a whole batch where the leader’s log begins inside of it', async () => {
      replica.isSlow = true;
      follower.take(answer({ logStart: 101, logEnd: 104 }));
      follower.take(answer({ logStart: 101, logEnd: 104, batches: [stampedBatch(100, 4, EPOCH)] }));
      await turns();
      expect(replica.calls).toEqual(['reset 101', 'reset 100']);
      expect(follower.position()).toMatchObject({ fetchOffset: 104, durableOffset: 100 });
      expect(replica.leader.logStart).toBe(101);
      changes = 0;
      replica.sync();
      expect(changes).toBe(1);
    });

    it('refuses a batch that begins inside of what it has', () => {
      hold(stampedBatch(0, 2, 3));
      follower.take(answer({ batches: [stampedBatch(1, 4, EPOCH)] }));
      expect(replica.logEnd).toBe(2);
      expect(told).toEqual(['paused CORRUPT_BATCH']);
    });
  });

  describe('errors', () => {
    it('waits longer each time the leader refuses, up to a second', () => {
      const waits = Array.from({ length: 8 }, () => {
        follower.take(answer({ error: 'UNAVAILABLE' }));
        const before = clock.monotonicMs();
        while (follower.position() === undefined) clock.advance(1);
        return clock.monotonicMs() - before;
      });
      expect(waits[0]).toBeLessThanOrEqual(50);
      expect(waits[3]).toBeGreaterThan(waits[0]!);
      expect(Math.max(...waits)).toBeLessThanOrEqual(1000);
      follower.take(answer());
      follower.take(answer({ error: 'UNAVAILABLE' }));
      clock.advance(50);
      expect(follower.position()).toBeDefined();
    });

    it('waits until its disk has healed', () => {
      replica.failure = new SluiceError('STORAGE_FULL', 'test');
      follower.take(answer({ batches: [stampedBatch(0, 2, EPOCH)] }));
      clock.advance(60_000);
      expect(follower.position()).toBeUndefined();
      replica.failure = undefined;
      clock.advance(1000);
      expect(follower.position()).toMatchObject({ fetchOffset: 0 });
    });

    it('asks again from what is durable when a write has failed', () => {
      replica.isSlow = true;
      follower.take(answer({ batches: [stampedBatch(0, 2, EPOCH)] }));
      replica.sync();
      follower.take(answer({ batches: [stampedBatch(2, 2, EPOCH)] }));
      const { rewinds } = follower;
      replica.fail(new SluiceError('STORAGE_FAILED', 'test'));
      expect(follower.position()).toBeUndefined();
      replica.failure = undefined;
      clock.advance(1000);
      expect(follower.position()).toMatchObject({ fetchOffset: 2, durableOffset: 2 });
      expect(follower.rewinds).toBe(rewinds + 1);
      expect(pending.usedBytes).toBe(0);
    });
  });

  describe('lacks nothing', () => {
    it('when it has, durable, what the leader has acknowledged and what it began with', () => {
      replica.isSlow = true;
      follower.take(answer({ batches: [stampedBatch(0, 2, 4)], logEnd: 4, highWatermark: 0 }));
      replica.sync();
      expect(completions).toBe(0);
      follower.take(answer({ batches: [stampedBatch(2, 2, 4)], logEnd: 4, highWatermark: 4 }));
      expect(completions).toBe(0);
      replica.sync();
      expect(completions).toBe(1);
    });

    it('when it has something of the epoch, and what is acknowledged, though the leader has more', () => {
      follower.take(answer({ batches: [stampedBatch(0, 2, 4)], logEnd: 8, highWatermark: 2 }));
      expect(completions).toBe(0);
      follower.take(answer({ batches: [stampedBatch(2, 2, EPOCH)], logEnd: 8, highWatermark: 6 }));
      expect(completions).toBe(0);
      follower.take(answer({ batches: [stampedBatch(4, 2, EPOCH)], logEnd: 8, highWatermark: 6 }));
      expect(completions).toBe(1);
    });

    it('where there is nothing', () => {
      follower.take(answer());
      expect(completions).toBe(1);
    });

    it('once', () => {
      follower.take(answer());
      follower.take(answer({ batches: [stampedBatch(0, 2, EPOCH)], logEnd: 2, highWatermark: 2 }));
      expect(completions).toBe(1);
    });

    it('and does not say so before it was answered, by an error, or where histories part', async () => {
      hold(stampedBatch(0, 2, 3));
      follower.take(answer({ diverging: { epoch: 2, endOffset: 1 } }));
      await turns();
      follower.take(answer({ error: 'UNAVAILABLE' }));
      expect(completions).toBe(0);
    });
  });

  it('takes nothing and asks for nothing once it is closed', async () => {
    await follower.close();
    follower.take(answer({ batches: [stampedBatch(0, 2, EPOCH)] }));
    expect([follower.position(), replica.logEnd]).toEqual([undefined, 0]);
  });
});
