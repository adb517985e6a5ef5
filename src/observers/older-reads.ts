import type { Clock, Timer } from '../kernel/clock.ts';
import { SluiceError, asSluiceError } from '../kernel/errors.ts';
import type { Asker, Slots } from '../kernel/slots.ts';
import { Askers } from '../kernel/slots.ts';
import type { MemoryBudget } from '../log/memory-budget.ts';
import type { PartitionRef } from '../partition/replication.ts';
import { batchNextOffset, checkBatch } from '../wire/record-batch.ts';
import type { Chunk } from './chunk-cache.ts';
import { ChunkCache } from './chunk-cache.ts';
import type { CopyAnswer, CopyReader } from './copy-reader.ts';
import type { CopySources } from './copy-sources.ts';
import type { ObserverCounters } from './observer-counters.ts';
import { countBytes } from './observer-counters.ts';

/** Reads that are kept where few are behind; as many bytes are where many are, of smaller ones. */
const CACHED_READS = 2;
/** So many readers, each at a place of its own, find again what was read for them and they have not taken yet. */
const LAGGARDS = 16;
/** How long to wait where another copy is ahead of the feed in epochs, or all fail at once, milliseconds. */
const LEAST_WAIT_MS = 20;

/** What reading older records takes. */
export interface OlderReadsOptions {
  readonly ref: PartitionRef;
  readonly reader: CopyReader;
  /** Bytes that are asked for at once at most, whatever is asked for here. */
  readonly readBytes: number;
  readonly sources: CopySources;
  readonly clock: Clock;
  /** Reads under way at once, for all observers of a node. */
  readonly slots: Slots;
  /** Bound over all that observers keep. */
  readonly budget: MemoryBudget;
  readonly counters: ObserverCounters;
}

interface Wanted {
  readonly offset: number;
  /** Exclusive. */
  readonly end: number;
  readonly maxBytes: number;
}

interface UnderWay {
  readonly reading: Promise<OlderResult | undefined>;
  readonly askers: Askers;
}

/** What was found: a chunk, or that the log begins above the offset asked for. */
export type OlderResult = Chunk | { readonly logStart: number };

/**
 * Reads for those who are behind an observer's tail, from the copies of other nodes; the tail is not touched by it.
 *
 * A node that fails is no reason to end a reader, who could read on somewhere else or later: it is tried until it works.
 */
export class OlderReads {
  /** Epoch of the history that readers have seen: what is of another is not taken. */
  epoch = 0;
  readonly #options: OlderReadsOptions;
  readonly #cache: ChunkCache;
  #underWay = new Map<number, UnderWay>();
  #resting = new Map<Timer, () => void>();
  /** Another one each time what was there may have become something else. */
  #history = {};

  constructor(options: OlderReadsOptions) {
    this.#options = options;
    this.#cache = new ChunkCache(CACHED_READS * options.readBytes, options.budget);
  }

  /** Bytes kept of what was read. */
  get cachedBytes(): number {
    return this.#cache.retainedBytes;
  }

  /**
   * Batches from the one that holds `offset` on.
   * @param end exclusive; above it the tail has everything
   * @param asker who waits for it: when all who do have gone it is not begun, nor tried again
   * @returns undefined when what was there has become something else meanwhile
   * @throws CANCELLED
   */
  read(offset: number, end: number, asker?: Asker): Promise<OlderResult | undefined> {
    const cached = this.#cache.find(offset);
    if (cached) return Promise.resolve(cached);
    const underWay = this.#underWay.get(offset);
    if (underWay && !underWay.askers.gone.aborted) {
      underWay.askers.add(asker);
      return underWay.reading;
    }
    this.#cache.passed(offset);
    return this.#begin({ offset, end, maxBytes: this.#share() }, new Askers(asker));
  }

  /**
   * Offset of the first record of that time or later, as the leader says.
   * @throws UNAVAILABLE when there is no leader, and what it answers; CANCELLED
   */
  async offsetAt(timestampMs: number, asker?: Asker): Promise<number> {
    const { reader, sources, ref } = this.#options;
    const { leader } = sources;
    const { topicId, partition } = ref;
    if (leader === null) throw new SluiceError('UNAVAILABLE', `nobody leads ${topicId}/${partition} now`);
    const start = { at: 'timestamp', timestampMs } as const;
    const [offset] = await reader.listOffsets(leader, [ref], start, asker?.gone);
    if (typeof offset === 'number') return offset;
    throw offset ?? new SluiceError('PROTOCOL_ERROR', `node ${leader} did not answer for all partitions`);
  }

  /** What was read is no longer so; who waits for more is told. */
  forget(): void {
    this.#history = {};
    this.#cache.clear();
    this.#underWay = new Map();
    for (const [timer, wake] of this.#resting) {
      timer.cancel();
      wake();
    }
    this.#resting.clear();
  }

  close(): void {
    this.forget();
    this.#cache.close();
  }

  /** What to ask for now: a reader's part of the cache, so that what is read for one does not push out what others have not taken yet. */
  #share(): number {
    const { readBytes } = this.#options;
    const cacheBytes = CACHED_READS * readBytes;
    const laggards = Math.min(LAGGARDS, this.#cache.inUse + this.#underWay.size + 1);
    return Math.min(readBytes, Math.floor(cacheBytes / laggards));
  }

  #begin(wanted: Wanted, askers: Askers): Promise<OlderResult | undefined> {
    const underWay = this.#underWay;
    const reading = this.#read(wanted, askers).finally(() => {
      askers.end();
      // Who asked after all others had gone has begun another.
      if (underWay.get(wanted.offset)?.askers === askers) underWay.delete(wanted.offset);
    });
    underWay.set(wanted.offset, { reading, askers });
    return reading;
  }

  async #read(wanted: Wanted, askers: Askers): Promise<OlderResult | undefined> {
    const history = this.#history;
    const isGone = (): boolean => askers.gone.aborted;
    for (;;) {
      if (isGone()) throw new SluiceError('CANCELLED', 'nobody waits for it any more');
      const found = await this.#options.slots.run(() => this.#try(wanted, history, askers), askers);
      if (history !== this.#history) return undefined;
      if (found) return found;
      if (!isGone()) await this.#rest(Math.max(LEAST_WAIT_MS, this.#options.sources.waitMs()));
    }
  }

  /** @returns undefined: not now */
  async #try(wanted: Wanted, history: object, { gone }: Asker): Promise<OlderResult | undefined> {
    const { offset, end, maxBytes } = wanted;
    const { reader, sources, ref, counters } = this.#options;
    while (history === this.#history && !gone.aborted) {
      const node = sources.replica();
      if (node === undefined) return undefined;
      try {
        const request = { ...ref, offset, upTo: end, maxBytes, maxWaitMs: 0 };
        const answer = await reader.read(node, request);
        if (history !== this.#history) return undefined;
        // The feed finds out first what another epoch means for what is here.
        if (answer.leaderEpoch > this.epoch) return undefined;
        const found = this.#take(node, answer, wanted);
        if (found) return found;
      } catch (error) {
        counters.lastError = asSluiceError(error).code;
      }
      counters.failures++;
      sources.failed(node);
    }
    return undefined;
  }

  /** @returns undefined when this copy has not what others have. @throws CORRUPT_BATCH */
  #take(node: string, answer: CopyAnswer, { offset, end }: Wanted): OlderResult | undefined {
    const { counters, sources } = this.#options;
    const { leaderEpoch, logStart, highWatermark, batches } = answer;
    if (leaderEpoch < this.epoch) return undefined;
    if (logStart > offset) return { logStart };
    const last = batches.at(-1);
    // Nothing came: there is nothing up to where that copy knows it.
    if (!last && highWatermark < end) return undefined;
    for (const batch of batches) checkBatch(batch);
    const bytes = batches.reduce((sum, batch) => sum + batch.length, 0);
    const chunk = { batches, from: offset, end: last ? batchNextOffset(last) : end, bytes };
    counters.olderReads++;
    countBytes(counters, { node, zone: sources.zoneOf(node) }, 'older', bytes);
    if (last) this.#cache.add(chunk);
    return chunk;
  }

  #rest(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#options.clock.setTimer(ms, () => {
        this.#resting.delete(timer);
        resolve();
      });
      this.#resting.set(timer, resolve);
    });
  }
}
