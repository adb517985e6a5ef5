import type { Clock, Timer } from '../kernel/clock.ts';
import type { SluiceError } from '../kernel/errors.ts';
import { asSluiceError } from '../kernel/errors.ts';
import { NO_EPOCH, epochBefore, truncationPoint } from '../partition/epoch-history.ts';
import type { Partition } from '../partition/partition.ts';
import { batchBaseOffset, batchLeaderEpoch, batchNextOffset } from '../wire/record-batch.ts';
import { Arrivals } from './arrivals.ts';
import { ChainLink } from './chain-link.ts';
import type { CopyAnswer } from './copy-reader.ts';
import type { CopySources } from './copy-sources.ts';
import type { FeedRead, FeedReadsOptions } from './feed-reads.ts';
import { FeedReads } from './feed-reads.ts';
import type { ObserverCounters } from './observer-counters.ts';
import { countBytes } from './observer-counters.ts';
import type { ObserverLog } from './observer-log.ts';
import type { OlderReads } from './older-reads.ts';

/** What a feed is made of. */
export interface CopyFeedOptions extends FeedReadsOptions {
  readonly partition: Pick<Partition, 'follow' | 'appendReplicated' | 'truncateTo' | 'resetTo'>;
  readonly log: ObserverLog;
  readonly older: OlderReads;
  readonly sources: CopySources;
  readonly clock: Clock;
  readonly counters: ObserverCounters;
}

/** How far a copy is behind its source. */
export interface CopyLag {
  /** Offsets that the source had, when it was heard of last, and the copy has not. */
  readonly records: number;
  /** Milliseconds since it had, as far as it was told, all there is; up to half a second while nothing comes. */
  readonly ms: number;
}

/** Where a copy begins: at the newest record, with what is older at the source, or where the source begins. */
type Beginning = 'newest' | 'oldest';

/**
 * Keeps an observer's copy up to date from another node's.
 *
 * A source that fails, is behind this copy, or is in an older epoch is left alone for a while and another one is asked. That the copy has what
 * is not there any more, after an election in which records were lost, only the leader can say: every other copy may be behind.
 */
export class CopyFeed {
  readonly #options: CopyFeedOptions;
  readonly #reads: FeedReads;
  readonly #arrivals: Arrivals;
  readonly #link: ChainLink;
  /** Where to begin; undefined: it has begun. */
  #beginning: Beginning | undefined = 'newest';
  #highWatermark = 0;
  #isStopped = false;
  #wake: (() => void) | undefined;

  constructor(options: CopyFeedOptions) {
    this.#options = options;
    this.#reads = new FeedReads(options);
    this.#arrivals = new Arrivals(options.clock);
    this.#link = new ChainLink(options.clock);
  }

  /** It is fed by another observer. */
  get isChained(): boolean {
    return this.#link.isChained;
  }

  /** Others may be fed by it: it is fed by a replica itself, now, and keeps pace with it. */
  get isRelay(): boolean {
    return !this.#isStopped && this.#beginning === undefined && this.#link.isRelay;
  }

  get lag(): CopyLag {
    return {
      records: Math.max(0, this.#highWatermark - this.#options.log.logEnd),
      ms: this.#link.behindMs,
    };
  }

  /** Begins; what goes wrong is tried again until {@link stop}. */
  start(): void {
    void this.#run();
  }

  /** It is known where the source begins and ends, and the copy has come as far as `offset`. */
  has(offset: number): boolean {
    return this.#isStopped || (this.#beginning === undefined && offset <= this.#options.log.logEnd);
  }

  /** Resolves when it {@link has}, at the latest after `maxMs`. */
  whenHas(offset: number, maxMs: number): Promise<void> {
    return this.#arrivals.wait(offset, maxMs);
  }

  /** Who has copies may be others. */
  sourcesChanged(): void {
    const { first } = this.#reads;
    if (first && this.#options.sources.has(first.node)) return;
    this.#wake?.();
  }

  /** Ends it; what is still answered is not looked at. */
  stop(): void {
    this.#isStopped = true;
    this.#reads.clear();
    this.#arrivals.reached(Infinity);
    this.#wake?.();
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      const { sources } = this.#options;
      // Where the partition begins and ends only a replica knows.
      const node = this.#beginning ? sources.replica() : sources.current();
      if (node === undefined) await this.#rest();
      else if (this.#beginning) await this.#begin(node, this.#beginning);
      else await this.#goOn(node);
    }
  }

  async #begin(node: string, beginning: Beginning): Promise<void> {
    const { log } = this.#options;
    this.#reads.clear();
    try {
      const ends = await this.#reads.ask(node, 0, 1);
      const { logStart, highWatermark } = ends;
      const isThere = beginning === 'oldest' && logStart <= log.logEnd;
      // The last batch is read again so that its epoch is known.
      const from = beginning === 'oldest' ? logStart : Math.max(logStart, highWatermark - 1);
      const answer = isThere ? ends : await this.#reads.ask(node, from);
      if (this.#isStopped) return;
      if (isThere) this.#beginning = undefined;
      else if (answer.leaderEpoch < this.#epoch || answer.logStart > from) this.#distrust(node);
      else this.#beginAt(node, from, answer);
    } catch (error) {
      this.#fail(node, asSluiceError(error));
    }
  }

  #beginAt(node: string, from: number, answer: CopyAnswer): void {
    const { partition, log, counters } = this.#options;
    const first = answer.batches[0];
    // A log may begin in the middle of a batch.
    const base = first ? batchBaseOffset(first) : Math.max(from, answer.highWatermark);
    if (this.#beginning === 'oldest') counters.restarts++;
    this.#enter(answer.leaderEpoch);
    void partition.resetTo(base);
    log.reachBack(answer.logStart);
    this.#beginning = undefined;
    this.#store(node, answer);
  }

  async #goOn(node: string): Promise<void> {
    const { log } = this.#options;
    const { logEnd } = log;
    const lastEpoch = epochBefore(log, logEnd);
    const position = {
      logEnd,
      highWatermark: this.#highWatermark,
      lastEpoch: lastEpoch === NO_EPOCH ? undefined : lastEpoch,
    };
    this.#reads.fill(node, position);
    if (this.#reads.asksRelay) this.#link.asksRelay();
    const read = this.#reads.first!;
    const answer = await this.#unlessWoken(read);
    if (this.#isStopped) return;
    if (answer === undefined) this.#reads.clear();
    else if (!(answer instanceof Error)) this.#take(read, answer);
    else if (answer.code === 'OFFSET_OUT_OF_RANGE' && !read.isRelayed) await this.#compareEnds(read.node);
    else this.#fail(read.node, answer);
  }

  /** A copy ends below what was asked for. */
  async #compareEnds(node: string): Promise<void> {
    try {
      const ends = await this.#reads.ask(node, 0, 1);
      if (this.#isStopped) return;
      if (ends.logEnd < this.#options.log.logEnd) this.#outOfStep(node, ends);
      else this.#distrust(node);
    } catch (error) {
      this.#fail(node, asSluiceError(error));
    }
  }

  #take(read: FeedRead, answer: CopyAnswer): void {
    const { log, sources } = this.#options;
    const { node, isChecked } = read;
    const { leaderEpoch, logStart, logEnd, diverging } = answer;
    if (leaderEpoch < this.#epoch) this.#distrust(node);
    else if (diverging || logEnd < log.logEnd) this.#outOfStep(node, answer);
    // There may be another history: what is here is compared with it before anything is added.
    else if (!isChecked && (leaderEpoch > this.#epoch || !this.#isContinuedBy(answer))) this.#reads.clear();
    else if (logStart > log.logEnd) this.#beginning = 'oldest';
    else {
      this.#enter(leaderEpoch);
      sources.worked(node);
      this.#note(read, answer);
      this.#store(node, answer, read);
    }
  }

  /** Who feeds this copy, and who could. */
  #note({ isRelayed }: FeedRead, { nearer }: CopyAnswer): void {
    this.#link.answered(isRelayed);
    if (!isRelayed) this.#options.sources.point(nearer);
  }

  /** Whoever has something of an epoch has the same as all others before it. */
  #isContinuedBy({ batches: [first] }: CopyAnswer): boolean {
    const { log } = this.#options;
    return first !== undefined && batchLeaderEpoch(first) === epochBefore(log, log.logEnd);
  }

  #store(node: string, answer: CopyAnswer, read?: FeedRead): void {
    const { partition, log, counters, sources } = this.#options;
    const { highWatermark, logStart } = answer;
    const batches = answer.batches.filter((batch) => batchNextOffset(batch) > log.logEnd);
    // Nothing came, so nothing is there: holes, as compaction leaves them.
    if (answer.batches.length === 0) log.skipTo(Math.min(highWatermark, read?.upTo ?? highWatermark));
    try {
      partition.appendReplicated(batches, { highWatermark, logStart });
    } catch (error) {
      this.#fail(node, asSluiceError(error));
      return;
    }
    this.#highWatermark = highWatermark;
    if (answer.batches.length > 0) counters.reads++;
    countBytes(counters, { node, zone: sources.zoneOf(node) }, 'feed', bytesOf(answer.batches));
    if (log.logEnd >= highWatermark) this.#link.caughtUp();
    if (read) this.#reads.done(answer.batches, log.logEnd);
    this.#arrivals.reached(log.logEnd);
  }

  /** There is something here that the other has not: lost, if it leads. */
  #outOfStep(node: string, answer: CopyAnswer): void {
    const { partition, log, sources, counters } = this.#options;
    if (!sources.isLeader(node, answer.leaderEpoch)) {
      this.#distrust(node);
      return;
    }
    counters.truncations++;
    this.#reads.clear();
    this.#enter(answer.leaderEpoch);
    const end = this.#commonEnd(answer);
    // Where the histories part is not known when it is below the tail: then nobody may go on who has read anything of this one.
    if (end === undefined) this.#beginning = 'newest';
    void partition.truncateTo(end ?? log.logStart);
  }

  /** Up to where this copy is the leader's; undefined: that is not known. */
  #commonEnd({ diverging, logEnd }: CopyAnswer): number | undefined {
    const { leaderEpochs, tailStart, logEnd: ownEnd } = this.#options.log;
    if (!diverging) return logEnd > tailStart ? logEnd : undefined;
    const end = truncationPoint({ leaderEpochs, logStart: tailStart, logEnd: ownEnd }, diverging);
    // In an epoch that both have, both are the same as far as both go. Else it is compared again from there, which takes a batch to compare.
    const isShared = leaderEpochs.some(({ epoch }) => epoch === diverging.epoch);
    return (isShared || end > tailStart) && end < ownEnd ? end : undefined;
  }

  get #epoch(): number {
    return this.#options.older.epoch;
  }

  #enter(epoch: number): void {
    this.#options.older.epoch = epoch;
    this.#options.partition.follow(epoch);
  }

  #fail(node: string, error: SluiceError): void {
    this.#options.counters.lastError = error.code;
    this.#distrust(node);
  }

  #distrust(node: string): void {
    this.#options.counters.failures++;
    this.#options.sources.failed(node);
    this.#reads.clear();
  }

  /** @returns undefined when something has happened that makes it worth looking again */
  async #unlessWoken({ answer }: FeedRead): Promise<CopyAnswer | SluiceError | undefined> {
    const woken = new Promise<undefined>((resolve) => {
      this.#wake = () => resolve(undefined);
    });
    return Promise.race([answer.catch((error: unknown) => asSluiceError(error)), woken]);
  }

  #rest(): Promise<void> {
    const { clock, sources } = this.#options;
    return new Promise((resolve) => {
      const timer: Timer = clock.setTimer(sources.waitMs(), resolve);
      this.#wake = () => {
        timer.cancel();
        resolve();
      };
    });
  }
}

function bytesOf(batches: readonly Buffer[]): number {
  return batches.reduce((sum, batch) => sum + batch.length, 0);
}
