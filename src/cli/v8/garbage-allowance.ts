import { totalmem } from 'node:os';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import type { Clock, Timer } from '../../kernel/clock.ts';

const MiB = 1024 * 1024;
/** Garbage that may gather where there is memory enough, bytes; usually it is half of that, because what is in use when this looks is garbage in part. */
const GARBAGE_MAX_BYTES = 128 * MiB;
/** And elsewhere at most this share of the memory that there is. */
const MEMORY_SHARE = 1 / 16;
const LOOK_MS = 1000;
/** However much is retained, a tenth of it may be garbage: what V8 grants by itself at least. */
const MIN_PERCENT = 10;
const MAX_PERCENT = 500;

/** The memory that V8 collects: its heap, and buffers outside of it. */
export interface CollectedMemory {
  /** In use now, garbage included, bytes. */
  usedBytes(): number;
  /** After each collection the next one comes when memory has grown by so many percent. */
  setGrowthPercent(percent: number): void;
}

/**
 * Lets so many bytes of garbage gather before it is collected, however little else there is.
 *
 * V8 by itself lets memory grow by a share of what is in use, often no more than a tenth. A broker that retains little and passes much on would collect
 * several times a second, and each time go through its whole heap: a third of its time (docs/adr/0009).
 */
export class GarbageAllowance {
  readonly #clock: Clock;
  readonly #memory: CollectedMemory;
  readonly #garbageBytes: number;
  #percent = 0;
  #timer: Timer | undefined;

  /** @param garbageBytes at most so much garbage gathers, or a tenth of what is in use where that is more */
  constructor(clock: Clock, memory: CollectedMemory = V8_MEMORY, garbageBytes = allowedBytes()) {
    this.#clock = clock;
    this.#memory = memory;
    this.#garbageBytes = garbageBytes;
  }

  /** Begins to look now and then how much is in use, until {@link stop}. */
  start(): void {
    const share = (100 * this.#garbageBytes) / Math.max(1, this.#memory.usedBytes());
    const percent = Math.round(Math.min(MAX_PERCENT, Math.max(MIN_PERCENT, share)));
    if (percent !== this.#percent) this.#memory.setGrowthPercent(percent);
    this.#percent = percent;
    this.#timer = this.#clock.setTimer(LOOK_MS, () => this.start());
  }

  /** Idempotent. */
  stop(): void {
    this.#timer?.cancel();
  }
}

const V8_MEMORY: CollectedMemory = {
  usedBytes: () => {
    const { used_heap_size: heap, external_memory: external } = getHeapStatistics();
    return heap + external;
  },
  setGrowthPercent: (percent) => setFlagsFromString(`--heap-growing-percent=${percent}`),
};

function allowedBytes(): number {
  // Without a bound of its own a process is told more than there is, or 0.
  const ownBytes = process.constrainedMemory() || Infinity;
  return Math.min(GARBAGE_MAX_BYTES, MEMORY_SHARE * Math.min(ownBytes, totalmem()));
}
