import { describe, expect, it } from 'vitest';
import { DeliveryPump } from '../../../src/gateway/quic/delivery-pump.ts';
import type { DeliveryOwner, DeliverySink } from '../../../src/gateway/quic/delivery.ts';
import { BEHIND_MS } from '../../../src/gateway/quic/limits.ts';
import { PumpScheduler } from '../../../src/gateway/quic/pump-scheduler.ts';
import { FakeClock } from '../../support/fake-clock.ts';
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

function batches(): ReadResult {
  return { kind: 'batches', batches: [Buffer.alloc(100)] };
}

function stageOf(results: ReadResult[]) {
  const stage = { results, lagMs: 0, writable: true, taken: 0, behind: [] as boolean[] };
  const reader: PartitionReader = {
    topic: 't',
    partition: 0,
    leaderEpoch: 1,
    nextOffset: 0,
    gapRecords: 0,
    onReadable: undefined,
    read: () => stage.results.shift() ?? { kind: 'idle' },
    lag: () => ({ records: 1, bytes: 100, ms: stage.lagMs }),
    close: () => undefined,
  };
  const owner: DeliveryOwner = {
    paused: false,
    endAtGap: false,
    delivered: () => undefined,
    deliveryOver: () => undefined,
  };
  const sink: DeliverySink = {
    get writable() {
      return stage.writable;
    },
    blockedMs: 0,
    readBytes: 1000,
    takeBatches: () => {
      stage.taken += 1;
      return 100;
    },
    setBehind: (behind) => stage.behind.push(behind),
    takeGap: () => undefined,
    finish: () => undefined,
  };
  return Object.assign(stage, {
    sink,
    pump: new DeliveryPump(reader, owner, new PumpScheduler(new FakeClock())),
  });
}
