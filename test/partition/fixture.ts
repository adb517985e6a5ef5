import type { Clock } from '../../src/kernel/clock.ts';
import { ByteBudget } from '../../src/log/byte-budget.ts';
import { MemoryBudget } from '../../src/log/memory-budget.ts';
import { NO_STATE } from '../../src/log/log-state.ts';
import { MemoryLog } from '../../src/log/memory-log.ts';
import type { PartitionLog } from '../../src/log/partition-log.ts';
import type { LeadershipStart } from '../../src/partition/leadership.ts';
import { Partition } from '../../src/partition/partition.ts';
import type { PartitionParts } from '../../src/partition/partition.ts';
import { ProducerWindow } from '../../src/partition/producer-window.ts';
import type { PartitionReader, ReadResult } from '../../src/partition/reader.ts';
import { textOf } from '../support/batch.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { CasCluster } from './cas-cluster.ts';

/** What a test may set about its partition. */
export interface PartitionOptions extends Partial<Omit<PartitionParts, 'clock'>> {
  readonly clock?: Clock;
  readonly retentionRecords?: number;
}

/** A partition in memory with little said about it, whose only replica this node leads. */
export function openPartition(
  options: PartitionOptions & Pick<Partial<LeadershipStart>, 'reserve'> = {},
): Partition {
  const { reserve, ...parts } = options;
  const partition = idlePartition(parts);
  partition.lead(leadershipOf(7, { reserve }));
  return partition;
}

/** A partition in memory with little said about it, that has no role yet. */
export function idlePartition(options: PartitionOptions = {}): Partition {
  const { clock = new FakeClock(), retentionRecords = 0, ...parts } = options;
  const producers = new ProducerWindow(clock, 100, { producers: 0, maxProducers: 100 });
  return new Partition({
    topic: 'orders',
    topicId: 't1',
    partition: 0,
    settings: { batchMaxBytes: 1024 * 1024, timestamps: 'create' },
    inflatedMaxBytes: 1024 * 1024,
    clock,
    log: memoryLog(clock, retentionRecords, producers),
    producers,
    counters: { recordsIn: 0, bytesIn: 0, batchesIn: 0, duplicates: 0, gapRecords: 0 },
    scanBudget: new ByteBudget(1024 * 1024),
    ...parts,
  });
}

/** What node `a` leads with; on its own unless said otherwise. */
export function leadershipOf(epoch: number, options: Partial<LeadershipStart> = {}): LeadershipStart {
  const isr = options.isr ?? ['a'];
  const replicas = options.replicas ?? isr;
  return {
    ...{ epoch, selfId: 'a', replicas, isr, revision: 1, minInsync: 1, maxLagMs: 10_000, reserve: undefined },
    cluster: new CasCluster({ replicas, leader: 'a', leaderEpoch: epoch, isr }),
    onStepDown: () => undefined,
    ...options,
  };
}

export function memoryLog(clock: Clock, retentionRecords = 0, state = NO_STATE): PartitionLog {
  const limits = { retentionBytes: 0, retentionMs: 0, retentionRecords };
  return new MemoryLog({ clock, firstOffset: 0, limits, state, budget: new MemoryBudget(Infinity) });
}

/** A read from memory, which never waits. */
export function readNow(reader: PartitionReader, maxBytes = 1e6): ReadResult {
  const result = reader.read(maxBytes);
  if (result instanceof Promise) throw new TypeError('this read should not wait');
  return result;
}

/** Records read until the reader is idle or ends; gaps as `gap from-to`, the end as `end code`. */
export function readAll(reader: PartitionReader, maxBytes = 1e6): string[] {
  const seen: string[] = [];
  for (;;) {
    const result = readNow(reader, maxBytes);
    if (result.kind === 'batches') seen.push(...textOf(result.batches));
    else if (result.kind === 'gap') seen.push(`gap ${result.from}-${result.to}`);
    else return result.kind === 'idle' ? seen : [...seen, `end ${String(result.code)}`];
  }
}
