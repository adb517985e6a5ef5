/**
 * Compaction of segment files, without a node around it: how fast, and how long anything else in the process waits for it.
 *
 *     node bench/micro/compaction.ts [MiB per case]
 *
 * `mbPerSecond` counts the bytes of the segments before; `busyMbPerSecond` is the same over the processor's time, because it rests as long
 * as it works. Slices are measured in a run of their own: processor time of the thread between two turns of the event loop, which
 * is what anything else in the process waits for at most.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemRandom } from '../../src/kernel/random.ts';
import { holdProcess, systemClock } from '../../src/kernel/system-clock.ts';
import type { CompactionResult } from '../../src/log/disk/compaction.ts';
import { compactSegments } from '../../src/log/disk/compaction.ts';
import { nodeFileSystem } from '../../src/log/disk/node-file-system.ts';
import { Segment } from '../../src/log/disk/segment.ts';
import type { Codec } from '../../src/wire/codecs.ts';
import { stampBatch } from '../../src/wire/record-batch.ts';
import { RecordBatchEncoder } from '../../src/wire/record-batch-encoder.ts';

const MiB = 1024 * 1024;
const TOTAL_BYTES = Number(process.argv[2] ?? 256) * MiB;
const SEGMENT_BYTES = 128 * MiB;
const BATCH_RECORDS = 64;
const RUNS = 3;

interface Case {
  readonly recordBytes: number;
  readonly keys: number;
  readonly codec: Codec;
}

/** Segments of records whose keys are picked at random, on the disk. */
async function write(directory: string, { recordBytes, keys, codec }: Case): Promise<Segment[]> {
  const segments: Segment[] = [];
  const encoder = new RecordBatchEncoder();
  const value = systemRandom.bytes(recordBytes);
  let offset = 0;
  for (let total = 0; total < TOTAL_BYTES;) {
    const segment = Segment.active(directory, offset);
    const file = await nodeFileSystem.open(segment.path, { create: true });
    while (segment.bytes < SEGMENT_BYTES && total < TOTAL_BYTES) {
      for (let n = 0; n < BATCH_RECORDS; n++) {
        value.write(String(offset + n));
        const key = `sensor/${Math.floor(systemRandom.fraction() * keys)}`;
        encoder.append(Buffer.from(key), value, [], 1_700_000_000_000);
      }
      const batch = encoder.finish({ codec });
      stampBatch(batch, offset, 1);
      await file.write([batch], segment.bytes);
      offset += BATCH_RECORDS;
      total += batch.length;
      segment.add(offset - BATCH_RECORDS, offset, batch.length, 1_700_000_000_000, 0);
    }
    await file.sync();
    await file.close();
    segments.push(segment);
  }
  return segments;
}

interface Sample {
  readonly mbPerSecond: number;
  readonly busyMbPerSecond: number;
  readonly recordsPerSecond: number;
  /** Share of the bytes that is left. */
  readonly left: number;
}

interface Slices {
  readonly p50SliceMs: number;
  readonly p99SliceMs: number;
  readonly longestSliceMs: number;
}

/** Writes segments, lets `around` compact them, and removes them. */
async function withSegments<T>(
  one: Case,
  around: (segments: Segment[], compact: () => Promise<CompactionResult>) => Promise<T>,
): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'sluice-compaction-'));
  try {
    const segments = await write(directory, one);
    return await around(segments, () =>
      compactSegments({
        directory,
        files: nodeFileSystem,
        clock: systemClock,
        random: systemRandom,
        limits: {
          mapBytes: 128 * MiB,
          segmentBytes: SEGMENT_BYTES,
          segmentMs: Infinity,
          segmentRecords: Infinity,
        },
        segments: segments.map((segment) =>
          Object.assign(segment, { loadIndex: () => Promise.resolve(segment.index!) }),
        ),
        compactedBelow: 0,
        tombstonesBelow: 0,
        tombstoneParts: [],
        signal: new AbortController().signal,
        onCorrupt: () => undefined,
        onReplacing: () => undefined,
        onReplaced: () => undefined,
        onInstalled: () => undefined,
      }),
    );
  } finally {
    await rm(directory, { recursive: true });
  }
}

function measure(one: Case): Promise<Sample> {
  return withSegments(one, async (segments, compact) => {
    const bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0);
    const cpu = process.cpuUsage();
    const started = performance.now();
    const { freedBytes } = await compact();
    const seconds = (performance.now() - started) / 1000;
    const { user, system } = process.cpuUsage(cpu);
    return {
      mbPerSecond: Math.round(bytes / seconds / 1e6),
      busyMbPerSecond: Math.round(bytes / (user + system)),
      recordsPerSecond: Math.round(segments.at(-1)!.nextOffset / seconds),
      left: Number(((bytes - freedBytes) / bytes).toFixed(3)),
    };
  });
}

function measureSlices(one: Case): Promise<Slices> {
  return withSegments(one, async (_segments, compact) => {
    const slices: number[] = [];
    let isOver = false;
    let last = process.threadCpuUsage();
    const watch = (): void => {
      const now = process.threadCpuUsage();
      const usedMs = (now.user + now.system - last.user - last.system) / 1000;
      // Turns in which it rested.
      if (usedMs > 0.1) slices.push(usedMs);
      last = now;
      if (!isOver) setImmediate(watch);
    };
    setImmediate(watch);
    await compact();
    isOver = true;
    slices.sort((a, b) => a - b);
    const at = (share: number): number => Number((slices[Math.floor(slices.length * share)] ?? 0).toFixed(2));
    return { p50SliceMs: at(0.5), p99SliceMs: at(0.99), longestSliceMs: Number(slices.at(-1)!.toFixed(2)) };
  });
}

const release = holdProcess();
for (const one of [
  { recordBytes: 1024, keys: 10_000, codec: 'none' },
  { recordBytes: 1024, keys: 1_000_000, codec: 'none' },
  { recordBytes: 100, keys: 10_000, codec: 'none' },
  { recordBytes: 100, keys: 1_000_000, codec: 'none' },
  { recordBytes: 1024, keys: 10_000, codec: 'zstd' },
] as const) {
  const samples: Sample[] = [];
  for (let run = 0; run < RUNS; run++) samples.push(await measure(one));
  samples.sort((a, b) => a.mbPerSecond - b.mbPerSecond);
  const rates = samples.map(({ mbPerSecond }) => mbPerSecond);
  const spread = { min: rates[0], max: rates.at(-1) };
  const slices = await measureSlices(one);
  console.log(JSON.stringify({ bench: 'compaction', ...one, ...samples[RUNS >> 1]!, ...spread, ...slices }));
}
release();
