import { DurationHistogram } from '../../kernel/duration-histogram.ts';
import type { Random } from '../../kernel/random.ts';
import { systemRandom } from '../../kernel/random.ts';
import { Slots } from '../../kernel/slots.ts';
import { ByteBudget } from '../byte-budget.ts';
import type { FileSystem } from './file-system.ts';
import { IndexCache } from './index-cache.ts';
import { OpenFiles } from './open-files.ts';

/** Bounds over all logs of a node. */
export interface DiskLimits {
  /** Batches that were appended last and are kept in memory for readers at the tail. */
  readonly tailBytes: number;
  /** Batches that wait for the disk; above it appends are OVERLOADED. */
  readonly unwrittenBytes: number;
  readonly indexCacheBytes: number;
  /** Files that stay open for readers. */
  readonly openFiles: number;
  /** Memory of the compaction that goes on, for the latest offset of each key. Default 32 MiB: 1.4 million keys a round. */
  readonly compactionBytes?: number;
}

const MiB = 1024 * 1024;

/** What a node has unless its configuration says otherwise. */
export const DEFAULT_DISK_LIMITS: DiskLimits = {
  tailBytes: 64 * MiB,
  unwrittenBytes: 128 * MiB,
  indexCacheBytes: 16 * MiB,
  openFiles: 512,
};

/**
 * Reads of old records at once, over all logs: fewer than the pool has threads, so that a thousand readers that are far behind neither
 * hold up writes nor hold a thousand chunks in memory.
 */
const READS_AT_ONCE = 8;

const COMPACTION_BYTES = 32 * MiB;

/** What logs on disk count, all together; plain fields that metrics read. */
export interface DiskCounters {
  /** How long each write took, a durable one including the wait for the disk. */
  readonly writeTimes: DurationHistogram;
  writtenBytes: number;
  faults: number;
  corruptions: number;
  recoveries: number;
  /** Rounds of compaction that were brought to their end, bytes they read, and bytes that files became smaller. */
  compactions: number;
  compactedBytes: number;
  freedBytes: number;
  compactionFailures: number;
}

/** What all logs on one disk share. */
export interface DiskShared {
  readonly files: FileSystem;
  readonly tailBudget: ByteBudget;
  readonly writeBudget: ByteBudget;
  readonly openFiles: OpenFiles;
  readonly indexes: IndexCache;
  readonly reads: Slots;
  /** One log at a time is compacted. */
  readonly compactions: Slots;
  readonly compactionBytes: number;
  /** For digests of keys. */
  readonly random: Random;
  readonly counters: DiskCounters;
}

/** Makes what logs share; nothing is opened. */
export function createDiskShared(
  files: FileSystem,
  limits: DiskLimits = DEFAULT_DISK_LIMITS,
  random: Random = systemRandom,
): DiskShared {
  const openFiles = new OpenFiles(files, limits.openFiles);
  return {
    files,
    tailBudget: new ByteBudget(limits.tailBytes),
    writeBudget: new ByteBudget(limits.unwrittenBytes),
    openFiles,
    indexes: new IndexCache(files, openFiles, limits.indexCacheBytes),
    reads: new Slots(READS_AT_ONCE),
    compactions: new Slots(1),
    compactionBytes: limits.compactionBytes ?? COMPACTION_BYTES,
    random,
    counters: {
      writeTimes: new DurationHistogram(),
      writtenBytes: 0,
      faults: 0,
      corruptions: 0,
      recoveries: 0,
      compactions: 0,
      compactedBytes: 0,
      freedBytes: 0,
      compactionFailures: 0,
    },
  };
}
