import { describe, expect, it } from 'vitest';
import { DeliveryPump } from '../../../src/gateway/quic/delivery-pump.ts';
import type { DeliveryOwner, DeliverySink } from '../../../src/gateway/quic/delivery.ts';
import { BEHIND_MS } from '../../../src/gateway/quic/limits.ts';
import { PumpScheduler } from '../../../src/gateway/pump-scheduler.ts';
import { TurnAccount } from '../../../src/gateway/turn-account.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { SluiceError } from '../../../src/kernel/errors.ts';
import type { PartitionReader, ReadResult } from '../../../src/partition/reader.ts';

describe('a delivery that is behind', () => {
  it('gives way to others until it has read everything again', async () => {
    const stage = stageOf([batches(), batches(), { kind: 'idle' }]);
    stage.lagMs = BEHIND_MS + 1;
    stage.writable = false;
    stage.pump.start(stage.sink);
    await Promise.resolve();
    expect(stage.behind).toEqual([true]);

    stage.writable = true;
    stage.pump.wake();
    await Promise.resolve();
    stage.lagMs = 0;
    stage.results.push({ kind: 'idle' });
    stage.pump.wake();
    await Promise.resolve();
    stage.pump.wake();
    await Promise.resolve();
    expect(stage.taken).toBe(2);
    expect(stage.behind).toEqual([true, false]);
  });

  it('is not taken for one while it reads what is new', async () => {
    const stage = stageOf([batches(), { kind: 'idle' }]);
    stage.pump.start(stage.sink);
    await Promise.resolve();
    expect(stage.taken).toBe(1);
    expect(stage.behind).toEqual([]);
  });
});

describe('a delivery whose reads take time', () => {
  it('reads nothing while a read is under way', async () => {
    const stage = stageOf([later()]);
    stage.pump.start(stage.sink);
    await turn();
    stage.pump.wake();
    await turn();
    expect([stage.reads, stage.taken]).toEqual([1, 0]);
  });

  it('reads on while it writes, and no further than that', async () => {
    const [first, second, third] = [later(), later(), later()];
    const stage = stageOf([first, second, third]);
    stage.room = 0;
    stage.pump.start(stage.sink);
    await turn();
    first.resolve(batches(3));
    await turn();
    expect([stage.reads, stage.taken]).toEqual([2, 0]);
    second.resolve(batches(3));
    await turn();
    expect([stage.reads, stage.taken]).toEqual([2, 0]);
    stage.room = 4;
    stage.pump.wake();
    await turn();
    expect([stage.reads, stage.taken]).toEqual([3, 4]);
  });

  it('does not read at all while the client has no room', async () => {
    const stage = stageOf([later()]);
    stage.writable = false;
    stage.pump.start(stage.sink);
    await turn();
    expect([stage.reads, stage.pump.blocked]).toEqual([0, true]);
  });

  it('hands nothing on that arrives after its end', async () => {
    const read = later();
    const stage = stageOf([read]);
    stage.pump.start(stage.sink);
    await turn();
    stage.pump.end(undefined, 'unsubscribed');
    read.resolve(batches());
    await turn();
    expect([stage.taken, stage.finished, stage.over]).toEqual([0, ['no error'], 1]);
  });

  it('hands nothing on that arrives after the client has gone', async () => {
    const read = later();
    const stage = stageOf([read]);
    stage.pump.start(stage.sink);
    await turn();
    stage.pump.abandon();
    read.resolve(batches());
    await turn();
    expect([stage.taken, stage.finished, stage.abandoned, stage.over]).toEqual([0, [], 1, 1]);
  });

  it('keeps what arrives while it is paused', async () => {
    const read = later();
    const stage = stageOf([read, batches(), { kind: 'idle' }]);
    stage.pump.start(stage.sink);
    await turn();
    stage.owner.paused = true;
    read.resolve(batches());
    await turn();
    expect([stage.reads, stage.taken]).toEqual([1, 0]);
    stage.owner.paused = false;
    stage.pump.wake();
    await turn();
    expect(stage.taken).toBe(2);
  });

  it('goes on when the reader has more right after it said that there is nothing', async () => {
    const read = later();
    const stage = stageOf([read, batches(), { kind: 'idle' }]);
    stage.pump.start(stage.sink);
    await turn();
    read.resolve({ kind: 'idle' });
    stage.pump.wake(); // from inside an append, before the pump has heard of it
    await turn();
    expect(stage.taken).toBe(1);
  });

  it('waits for the reader once it has heard that there is nothing', async () => {
    const read = later();
    const stage = stageOf([read]);
    stage.pump.start(stage.sink);
    await turn();
    read.resolve({ kind: 'idle' });
    await turn();
    expect(stage.reads).toBe(1);
    stage.results.push(batches(), { kind: 'idle' });
    stage.pump.wake();
    await turn();
    expect(stage.taken).toBe(1);
  });

  it('ends with the code of a read that failed, after everything that was read before', async () => {
    const [first, second] = [later(), later()];
    const stage = stageOf([first, second]);
    stage.room = 0;
    stage.pump.start(stage.sink);
    await turn();
    first.resolve(batches());
    await turn();
    second.reject(new SluiceError('STORAGE_FAILED', 'the disk is gone'));
    await turn();
    expect(stage.finished).toEqual([]);
    stage.room = 1;
    stage.pump.wake();
    await turn();
    expect([stage.taken, stage.finished]).toEqual([1, ['STORAGE_FAILED']]);
  });

  it('tells a gap that was read ahead in its place', async () => {
    const [first, second] = [later(), later()];
    const stage = stageOf([first, second, batches(), { kind: 'idle' }]);
    stage.pump.start(stage.sink);
    await turn();
    first.resolve(batches());
    await turn();
    second.resolve({ kind: 'gap', from: 5, to: 9, reason: 1 });
    await turn();
    expect(stage.told).toEqual(['batch', 'gap 5-9', 'batch']);
  });
});

describe('a turn of a delivery', () => {
  it('ends when the time is up, and goes on in the next', async () => {
    const clock = new FakeClock();
    const stage = stageOf([batches(), batches(), batches(), { kind: 'idle' }], clock);
    stage.onTake = () => clock.advance(10);
    stage.pump.start(stage.sink);
    await Promise.resolve();
    expect(stage.taken).toBe(1);
    for (let turns = 0; turns < 3; turns += 1) await turn();
    expect(stage.taken).toBe(3);
  });
});

/** A read that takes as long as the test says. */
function later(): PromiseWithResolvers<ReadResult> {
  return Promise.withResolvers<ReadResult>();
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function batches(count = 1): ReadResult {
  return { kind: 'batches', batches: Array.from({ length: count }, () => Buffer.alloc(100)) };
}

type Read = ReadResult | PromiseWithResolvers<ReadResult>;

function stageOf(results: Read[], clock = new FakeClock()) {
  const stage = {
    results,
    lagMs: 0,
    writable: true,
    /** Batches that the sink takes before it has no room. */
    room: Infinity,
    reads: 0,
    taken: 0,
    told: [] as string[],
    finished: [] as string[],
    abandoned: 0,
    over: 0,
    behind: [] as boolean[],
    onTake: (): void => undefined,
    owner: {
      account: new TurnAccount(),
      paused: false,
      endAtGap: false,
      delivered: () => undefined,
      deliveryOver: () => {
        stage.over += 1;
      },
    },
  };
  const reader: PartitionReader = {
    topic: 't',
    partition: 0,
    leaderEpoch: 1,
    nextOffset: 0,
    logStart: 0,
    gapRecords: 0,
    onReadable: undefined,
    read: () => {
      stage.reads += 1;
      const result = stage.results.shift() ?? { kind: 'idle' };
      return 'promise' in result ? result.promise : result;
    },
    lag: () => ({ records: 1, bytes: 100, ms: stage.lagMs }),
    close: () => undefined,
  };
  const sink: DeliverySink = {
    get writable() {
      return stage.writable;
    },
    blockedMs: 0,
    readBytes: 1000,
    take: (all, from) => {
      stage.onTake();
      const count = Math.min(all.length - from, stage.room);
      stage.room -= count;
      stage.taken += count;
      for (let i = 0; i < count; i += 1) stage.told.push('batch');
      return from + count;
    },
    setBehind: (behind) => stage.behind.push(behind),
    takeGap: (from, to) => stage.told.push(`gap ${from}-${to}`),
    finish: (code) => stage.finished.push(code ?? 'no error'),
    abandon: () => {
      stage.abandoned += 1;
    },
  };
  const owner: DeliveryOwner = stage.owner;
  return Object.assign(stage, { sink, pump: new DeliveryPump(reader, owner, new PumpScheduler(clock)) });
}
