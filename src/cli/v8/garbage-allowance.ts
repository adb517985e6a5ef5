import { totalmem } from 'node:os';
import { PerformanceObserver, constants } from 'node:perf_hooks';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import type { Clock, Timer } from '../../kernel/clock.ts';

const MiB = 1024 * 1024;
/** However much is retained, a tenth of it may be garbage: what V8 grants by itself at least. */
const MIN_PERCENT = 10;
const MAX_PERCENT = 500;
const LOOK_MS = 1000;
/** Collections that come sooner after each other than that, looks, take too much time: twice as much may gather, as far as there is room. */
const SOON_LOOKS = 4;
/** And after so many looks without one the least that may gather is enough again. */
const RARE_LOOKS = 60;

/** The memory that V8 collects: its heap, and buffers outside of it. */
export interface CollectedMemory {
  /** In use now, garbage included, bytes. */
  usedBytes(): number;
  /** How often all garbage was collected so far. */
  collections(): number;
  /** After each collection the next one comes when memory has grown by so many percent. */
  setGrowthPercent(percent: number): void;
}

/** Bytes of garbage that may gather; usually it is half of that, because what is in use when this looks is garbage in part. */
export interface AllowedGarbage {
  readonly leastBytes: number;
  /** Where collections would come soon after each other. */
  readonly mostBytes: number;
}

/**
 * Lets so many bytes of garbage gather before it is collected, however little else there is, and more while much is allocated.
 *
 * V8 by itself lets memory grow by a share of what is in use, often no more than a tenth. A broker that retains little and passes much on would collect
 * several times a second, and each time go through its whole heap: a third of its time (docs/adr/0009).
 */
export class GarbageAllowance {
  readonly #clock: Clock;
  readonly #memory: CollectedMemory;
  readonly #allowed: AllowedGarbage;
  #garbageBytes: number;
  #collections: number;
  #looksSince = RARE_LOOKS;
  #percent = 0;
  #timer: Timer | undefined;

  /** @param allowed or a tenth of what is in use where that is more */
  constructor(clock: Clock, memory: CollectedMemory = v8Memory(), allowed = ofTheMachine()) {
    this.#clock = clock;
    this.#memory = memory;
    this.#allowed = allowed;
    this.#garbageBytes = allowed.leastBytes;
    this.#collections = memory.collections();
  }

  /** Begins to look now and then how much is in use, until {@link stop}. */
  start(): void {
    this.#adapt();
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

  #adapt(): void {
    const { leastBytes, mostBytes } = this.#allowed;
    const collections = this.#memory.collections();
    if (collections === this.#collections) {
      this.#looksSince += 1;
      if (this.#looksSince >= RARE_LOOKS) this.#garbageBytes = leastBytes;
      return;
    }
    if (this.#looksSince < SOON_LOOKS) this.#garbageBytes = Math.min(mostBytes, 2 * this.#garbageBytes);
    this.#collections = collections;
    this.#looksSince = 0;
  }
}

function v8Memory(): CollectedMemory {
  let collections = 0;
  const observer = new PerformanceObserver((list) => {
    // Node's types do not know what entries of this type have.
    for (const { detail } of list.getEntries() as Iterable<{ detail?: { readonly kind: number } }>) {
      if (detail?.kind === constants.NODE_PERFORMANCE_GC_MAJOR) collections += 1;
    }
  });
  observer.observe({ entryTypes: ['gc'] });
  return {
    usedBytes: () => {
      const { used_heap_size: heap, external_memory: external } = getHeapStatistics();
      return heap + external;
    },
    collections: () => collections,
    setGrowthPercent: (percent) => setFlagsFromString(`--heap-growing-percent=${percent}`),
  };
}

/** Where there is memory enough 128 MiB and 512 MiB, elsewhere a sixteenth of it. */
function ofTheMachine(): AllowedGarbage {
  // Without a bound of its own a process is told more than there is, or 0.
  const memoryBytes = Math.min(process.constrainedMemory() || Infinity, totalmem());
  const leastBytes = Math.min(128 * MiB, memoryBytes / 16);
  return { leastBytes, mostBytes: Math.max(leastBytes, Math.min(512 * MiB, memoryBytes / 32)) };
}
