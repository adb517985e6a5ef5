/**
 * Appends to a memory partition, with readers at the tail: batches per second, and what a retained batch costs beside its bytes.
 *
 *     node --expose-gc bench/micro/append.ts
 */
import { MemoryBudget } from '../../src/log/memory-budget.ts';
import { BATCH_OVERHEAD_BYTES, MemoryLog } from '../../src/log/memory-log.ts';
import { systemClock } from '../../src/kernel/system-clock.ts';
import { Partition } from '../../src/partition/partition.ts';
import { ProducerWindow } from '../../src/partition/producer-window.ts';
import type { PartitionReader } from '../../src/partition/reader.ts';
import { RecordBatchEncoder } from '../../src/wire/record-batch-encoder.ts';

const MiB = 1024 * 1024;
const RETENTION_BYTES = 64 * MiB;
const RUNS = 5;

function openPartition(retentionBytes: number): Partition {
  const limits = { retentionBytes, retentionMs: 0, retentionRecords: 0 };
  const producers = new ProducerWindow(systemClock, 1000, { producers: 0, maxProducers: 1000 });
  const partition = new Partition({
    topic: 'bench',
    topicId: 'bench',
    partition: 0,
    settings: { batchMaxBytes: 16 * MiB, timestamps: 'create' },
    inflatedMaxBytes: 16 * MiB,
    clock: systemClock,
    log: new MemoryLog({
      ...{ clock: systemClock, firstOffset: 0, limits, state: producers },
      budget: new MemoryBudget(Infinity),
    }),
    producers,
    counters: { recordsIn: 0, bytesIn: 0, batchesIn: 0, duplicates: 0, gapRecords: 0 },
    scanBudget: new MemoryBudget(0),
  });
  partition.lead({
    ...{ epoch: 1, selfId: 'a', replicas: ['a'], isr: ['a'], revision: 0, minInsync: 1, maxLagMs: Infinity },
    cluster: {
      leaseHeld: true,
      updatePartition: () => Promise.reject(new Error('not on a node on its own')),
      readPartition: () => Promise.reject(new Error('not on a node on its own')),
    },
    reserve: undefined,
    onStepDown: () => undefined,
  });
  return partition;
}

/** A batch of about `bytes`, of 128-byte records or one smaller one. */
function batchOf(bytes: number): Buffer {
  const encoder = new RecordBatchEncoder();
  const value = Buffer.alloc(Math.min(110, bytes - 80), 'x');
  const key = Buffer.from('sensor/1');
  do encoder.append(key, value, [], 1_700_000_000_000);
  while (encoder.sizeBytes < bytes - 128);
  return encoder.finish({ codec: 'none' });
}

interface Sample {
  readonly batchesPerSecond: number;
  readonly mbPerSecond: number;
}

/** Appends fresh copies, as they would come from the frame reader, with `readers` that read each of them. */
function measure(batchBytes: number, readers: number, batches: number): Sample {
  const partition = openPartition(RETENTION_BYTES);
  const template = batchOf(batchBytes);
  let woken: PartitionReader[] = [];
  for (let index = 0; index < readers; index++) {
    const reader = partition.openReader({ at: 'latest' }) as PartitionReader;
    reader.onReadable = () => woken.push(reader);
    void reader.read(1);
  }
  const started = performance.now();
  for (let index = 0; index < batches; index++) {
    partition.append(Buffer.from(template));
    const turn = woken;
    woken = [];
    for (const reader of turn) {
      void reader.read(256 * 1024);
      void reader.read(256 * 1024);
    }
  }
  const seconds = (performance.now() - started) / 1000;
  void partition.close();
  return {
    batchesPerSecond: Math.round(batches / seconds),
    mbPerSecond: Math.round((batches * template.length) / seconds / 1e6),
  };
}

/** Memory of the process for each retained batch, less the batch's own bytes. */
function overheadPerBatch(batchBytes: number, batches: number): number {
  const template = batchOf(batchBytes);
  const partition = openPartition(0);
  partition.append(Buffer.from(template));
  const before = settledMemory();
  for (let index = 0; index < batches; index++) partition.append(Buffer.from(template));
  const overhead = (settledMemory() - before) / batches - template.length;
  void partition.close();
  return Math.round(overhead);
}

function settledMemory(): number {
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function median(samples: readonly Sample[]): Sample {
  return [...samples].sort((a, b) => a.batchesPerSecond - b.batchesPerSecond)[samples.length >> 1]!;
}

if (globalThis.gc) {
  for (const batchBytes of [100, 200, 2000, 16 * 1024]) {
    const measured = overheadPerBatch(batchBytes, 20_000);
    console.log(JSON.stringify({ bench: 'overhead', batchBytes, measured, counted: BATCH_OVERHEAD_BYTES }));
  }
}

const cases = [
  { batchBytes: 200, readers: 0, batches: 300_000 },
  { batchBytes: 16 * 1024, readers: 0, batches: 50_000 },
  { batchBytes: 200, readers: 1, batches: 300_000 },
  { batchBytes: 200, readers: 1000, batches: 2000 },
];
for (const { batchBytes, readers, batches } of cases) {
  const samples = Array.from({ length: RUNS }, () => measure(batchBytes, readers, batches));
  const rates = samples.map(({ batchesPerSecond }) => batchesPerSecond);
  console.log(
    JSON.stringify({
      bench: 'append',
      batchBytes,
      readers,
      ...median(samples),
      min: Math.min(...rates),
      max: Math.max(...rates),
    }),
  );
}
