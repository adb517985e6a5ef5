import { Backoff } from '../../kernel/backoff.ts';
import type { Clock, Timer } from '../../kernel/clock.ts';
import { asSluiceError } from '../../kernel/errors.ts';
import type { Random } from '../../kernel/random.ts';
import { batchBaseOffset, batchNextOffset } from '../../wire/record-batch.ts';
import type { Topics } from '../ports.ts';
import { holesOf, inspectBatch } from './batch-inspection.ts';
import type { BatchMemory } from './batch-memory.ts';
import { Intake } from './intake.ts';
import { batchToSend, recordsIn } from './leased-batch.ts';
import { OldBatches } from './old-batches.ts';
import type { QueueCounters } from './queue-context.ts';
import type { Moment, OffsetRun } from './queue-event.ts';
import type { QueueJournal } from './queue-journal.ts';
import type { QueuePartition } from './queue-partition.ts';
import type { DeliveredRun } from './queue-runs.ts';
import type { StateBudget } from './state-budget.ts';
import type { StateWriter } from '../state-writer.ts';

/** Bytes of new batches, inflated, that one call looks through; the rest waits for the next turn. */
const OFFERED_MAX_BYTES = 4 * 1024 * 1024;

/** Runs whose batches have to be read before they can be delivered. */
const PARKED_MAX = 16;

/** Gaps that nobody was told of yet; older ones are in the metrics only. */
const GAPS_MAX = 1000;

/**
 * A lease lasts from the answer on. While its grant is being stored it cannot end: else the record could be leased to somebody else before the first was told,
 * and both be answered when the log goes on; and attempts would be used up of which nobody knows.
 */
const UNANSWERED = Infinity;

const RETRY = { minMs: 50, maxMs: 5000 } as const;

/** How much somebody takes. */
export interface Wanted {
  readonly records: number;
  /** Of batches. */
  readonly bytes: number;
  /** The first batch comes whatever its size. */
  readonly atLeastOne: boolean;
  readonly leaseMs: number;
}

/** Records of one batch that were leased together; nobody may be told before it is stored. */
export interface TakenBatch {
  readonly runner: PartitionRunner;
  readonly grant: number;
  readonly batch: Buffer;
  readonly leases: readonly DeliveredRun[];
}

/** Records of one batch that somebody takes. */
interface PickedBatch {
  /** As it is sent. */
  readonly batch: Buffer;
  /** In rising order, at least one. */
  readonly runs: readonly DeliveredRun[];
}

/** What {@link PartitionRunner} needs. */
export interface PartitionRunnerOptions {
  readonly journal: QueueJournal;
  readonly topic: string;
  readonly partition: number;
  readonly orderedByKey: () => boolean;
  readonly topics: Topics;
  readonly clock: Clock;
  readonly random: Random;
  readonly batchMemory: BatchMemory;
  readonly writer: StateWriter;
  readonly stateBudget: StateBudget;
  readonly counters: QueueCounters;
  /** Its state has changed, or there may be something to take, or it has become known that there is nothing. Only schedules. */
  readonly onChange: (runner: PartitionRunner) => void;
  /** The log of the partition ends below what the queue knows of it. Only schedules. */
  readonly onOutOfRange: (runner: PartitionRunner) => void;
}

/** One partition of a queue at work: offers what is new, reads again what is delivered again, and leases both with the batches they are in. */
export class PartitionRunner {
  readonly partition: number;
  readonly state: QueuePartition;
  readonly journal: QueueJournal;
  /** Records that retention took and of which nobody has been told yet. */
  gaps: OffsetRun[] = [];
  readonly #options: PartitionRunnerOptions;
  readonly #intake: Intake;
  readonly #old: OldBatches;
  readonly #backoff: Backoff;
  /** Taken, and given back once their batches are at hand. */
  #parked: DeliveredRun[] = [];
  /** Stays at hand for whoever takes next, whatever the cache does. */
  #loaded: Buffer | undefined;
  #isLoading = false;
  #retry: Timer | undefined;
  /** What the node's budget knows of. */
  #countedBytes = 0;
  /** What lies below was dropped; what was leased then may come back. */
  #droppedTo = 0;
  #isClosed = false;

  constructor(options: PartitionRunnerOptions) {
    const { journal, partition, topics, topic, clock, random, batchMemory } = options;
    const onChange = (): void => options.onChange(this);
    const onOutOfRange = (): void => options.onOutOfRange(this);
    this.#options = options;
    this.partition = partition;
    this.journal = journal;
    this.state = journal.partition;
    const { cache, readAhead } = batchMemory;
    this.#intake = new Intake({ topics, topic, partition, clock, random, readAhead, onChange, onOutOfRange });
    this.#old = new OldBatches({
      ...{ topics, topic, partition, clock, cache: cache.partition() },
      logStart: () => this.#intake.logStart,
    });
    this.#backoff = new Backoff(RETRY, random);
  }

  /** Whether nothing is being read that somebody could get. */
  get isQuiet(): boolean {
    return (!this.#mayOffer || this.#intake.isQuiet) && !this.#isLoading;
  }

  /** Batches that were read before, for who moves or looks at records. */
  get batches(): OldBatches {
    return this.#old;
  }

  /** Leases what there is, oldest first, with one grant; what has to be read first is there later, and `onChange` is called. */
  take(wanted: Wanted, now: Moment): TakenBatch[] {
    const picked: PickedBatch[] = [];
    this.#dropDeleted();
    const heldBytes = this.state.heldBytes;
    let { records, bytes } = wanted;
    let offeredBytes = 0;
    while (records > 0 && bytes > 0 && this.#parked.length < PARKED_MAX) {
      const runs = this.state.take(records, now, this.cutMaxBytes);
      if (runs.length === 0) {
        if (offeredBytes >= OFFERED_MAX_BYTES) {
          this.#options.clock.setTimer(0, () => this.#options.onChange(this));
          break;
        }
        const offered = this.#offerNext();
        if (offered === undefined) break;
        offeredBytes += offered;
        continue;
      }
      const before = picked.length;
      bytes = this.#pick(this.#notDeleted(runs), { ...wanted, bytes }, picked);
      for (let at = before; at < picked.length; at++) records -= recordsIn(picked[at]!.runs);
    }
    const taken = this.#grant(picked, wanted.leaseMs, now);
    this.#loadParked();
    // Records past their time to live are done without anybody's doing.
    if (this.state.heldBytes !== heldBytes) this.changed();
    return taken;
  }

  /** What the state may hold, as much as the node has room for, before nothing new is offered. */
  get offerMaxBytes(): number {
    return this.#options.stateBudget.offerMaxBytes;
  }

  /** What it may hold before runs are leased whole, and leave it whole. */
  get cutMaxBytes(): number {
    return this.#options.stateBudget.cutMaxBytes;
  }

  /** What the state has noted is stored soon, and what follows from it happens. */
  changed(): void {
    if (this.#isClosed) return;
    this.#count(this.state.heldBytes);
    this.#options.writer.note(this.journal);
    this.#options.onChange(this);
  }

  /** What waits only for its batch to be read may be had by others: by who moves or discards it. */
  unpark(): void {
    for (const { first, end } of this.#parked) this.state.giveBack(first, end);
    this.#parked = [];
  }

  /** Offers a batch that somebody else read, if it is what comes next in this queue. @returns bytes that had to be looked through */
  offer(batch: Buffer): number {
    const { state } = this;
    const end = batchNextOffset(batch);
    if (end <= state.cursor) return 0;
    const first = Math.max(batchBaseOffset(batch), state.cursor);
    const { records, bytes } = inspectBatch(batch, this.#options.orderedByKey());
    if (records) {
      state.offerEach(
        end,
        records.filter(({ offset }) => offset >= first),
      );
    } else state.offer(first, end);
    this.changed();
    return bytes;
  }

  /** The leader has said that there is nothing below `offset`: nobody gets it any more. */
  deletedBelow(offset: number): void {
    this.#old.deletedBelow(offset);
    this.#dropDeleted();
  }

  /** Records below `end` are gone. */
  skip(first: number, end: number): void {
    this.#noteGap(first, end, this.state.skip(first, end));
  }

  /** What is left of leases that nobody was told of yet: those of records that were deleted since are done, and a gap. @returns undefined: none is left */
  stillThere(taken: TakenBatch): TakenBatch | undefined {
    const { grant } = taken;
    const { logStart } = this.#old;
    if (taken.leases[0]!.first >= logStart) return taken;
    const leases = taken.leases.flatMap((lease) => {
      const { first } = lease;
      const end = Math.min(lease.end, logStart);
      if (first < end) this.#noteGap(first, end, end - first - this.state.ack(grant, first, end));
      return lease.end > logStart ? [{ ...lease, first: Math.max(first, logStart) }] : [];
    });
    return leases.length > 0 ? { ...taken, leases } : undefined;
  }

  /** Gaps that nobody was told of yet, for who is told of them now. */
  takeGaps(): (OffsetRun & { readonly partition: number })[] {
    return this.gaps.splice(0).map((gap) => ({ ...gap, partition: this.partition }));
  }

  /** Nobody waits: cursors close. */
  rest(): void {
    this.#intake.rest();
    this.#old.rest();
    this.#loaded = undefined;
  }

  /** Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#count(0);
    this.#options.stateBudget.forget(this.#wake);
    this.#retry?.cancel();
    this.#intake.close();
    this.#old.close();
  }

  /** Batches go on above what is deleted, so that those at hand may have it still. What is leased is dropped when it comes back. */
  #dropDeleted(): void {
    const { logStart } = this.#old;
    if (logStart <= this.#droppedTo) return;
    this.#droppedTo = logStart;
    if (logStart <= this.state.floor) return;
    this.skip(this.state.floor, logStart);
    this.#unparkBelow(logStart);
  }

  #notDeleted(runs: DeliveredRun[]): DeliveredRun[] {
    if (runs[0]!.first >= this.#droppedTo) return runs;
    return runs.flatMap((run) => {
      if (run.first < this.#droppedTo) this.skip(run.first, Math.min(run.end, this.#droppedTo));
      const first = Math.max(run.first, this.#droppedTo);
      return first < run.end ? [{ ...run, first }] : [];
    });
  }

  #noteGap(first: number, end: number, records: number): void {
    this.#options.counters.gaps += records;
    if (records > 0) this.gaps.push({ first, end });
    if (this.gaps.length > GAPS_MAX) this.gaps.shift();
    this.changed();
  }

  /** @returns bytes that are left to be had */
  #pick(runs: DeliveredRun[], { bytes, atLeastOne }: Wanted, picked: PickedBatch[]): number {
    let left = bytes;
    const rest = [...runs];
    for (let run = rest[0]; run; run = rest[0]) {
      const batch = this.#find(run.first);
      const start = this.#mayCut ? run.first : this.state.startOf(run.first);
      if (!batch && start === run.first) {
        this.#parked.push(run);
        rest.shift();
        continue;
      }
      const group = batch ? takeBelow(rest, batchNextOffset(batch)) : [];
      const toSend = batch && batchToSend(batch, group);
      const mostBytes = picked.length === 0 && atLeastOne ? Infinity : left;
      if (!toSend || toSend.length > mostBytes) {
        unpick(picked, start);
        for (const { first, end } of [{ first: start, end: run.first }, ...group, ...rest])
          this.state.giveBack(first, end);
        return 0;
      }
      picked.push({ batch: toSend, runs: group });
      left -= toSend.length;
    }
    return left;
  }

  /** One grant for all: what lies side by side is one lease, however many batches it is in. */
  #grant(picked: readonly PickedBatch[], leaseMs: number, now: Moment): TakenBatch[] {
    if (picked.length === 0) return [];
    const runs = picked.flatMap((one) => one.runs);
    const { grant, leases } = this.state.grant(runs, leaseMs, { ...now, steadyMs: UNANSWERED });
    this.changed();
    const rest = [...leases];
    return picked.flatMap(({ batch, runs: own }) => {
      const leased = takeBelow(rest, own[own.length - 1]!.end);
      return leased.length === 0 ? [] : [{ runner: this, grant, batch, leases: leased }];
    });
  }

  #find(offset: number): Buffer | undefined {
    const loaded = this.#loaded;
    if (loaded && batchBaseOffset(loaded) <= offset && offset < batchNextOffset(loaded)) return loaded;
    return this.#old.find(offset);
  }

  /** Else nobody gets what is new, however much of it there is, before something else was done. */
  get #mayOffer(): boolean {
    return this.state.heldBytes < this.offerMaxBytes && this.#parked.length < PARKED_MAX;
  }

  /** Else runs are leased whole, or not at all. */
  get #mayCut(): boolean {
    return this.state.heldBytes < this.cutMaxBytes;
  }

  /** @returns bytes of what was offered; undefined: nothing */
  #offerNext(): number | undefined {
    if (!this.#mayOffer) {
      this.#options.stateBudget.whenRoom(this.#wake);
      return undefined;
    }
    const next = this.#intake.next(this.state.cursor);
    if (!next) return undefined;
    if (next.kind === 'gap') {
      this.skip(Math.max(next.first, this.state.cursor), next.end);
      return 0;
    }
    const bytes = this.offer(next.batch);
    this.#old.keep(next.batch);
    return bytes;
  }

  readonly #wake = (): void => this.#options.onChange(this);

  #count(heldBytes: number): void {
    const more = heldBytes - this.#countedBytes;
    this.#countedBytes = heldBytes;
    if (more !== 0) this.#options.stateBudget.change(more);
  }

  #loadParked(): void {
    const run = this.#parked[0];
    if (!run || this.#isLoading || this.#isClosed || this.#retry) return;
    this.#isLoading = true;
    void this.#load(run.first).finally(() => {
      this.#isLoading = false;
      if (this.#isClosed) return;
      this.#options.onChange(this);
      this.#loadParked();
    });
  }

  async #load(offset: number): Promise<void> {
    try {
      const found = await this.#old.load(offset);
      this.#backoff.reset();
      if (this.#isClosed) return;
      if (found.kind === 'gone') {
        this.skip(offset, found.to);
        this.#unparkBelow(found.to);
      } else {
        this.#loaded = found.batch;
        this.#dropHoles(found.batch);
        this.#unparkBelow(batchNextOffset(found.batch));
      }
    } catch (error) {
      if (!this.#isClosed) this.#loadFailed(error);
    }
  }

  #loadFailed(error: unknown): void {
    this.#retry = this.#options.clock.setTimer(this.#backoff.nextMs(), () => {
      this.#retry = undefined;
      this.#loadParked();
    });
    if (asSluiceError(error).code === 'OFFSET_OUT_OF_RANGE') this.#options.onOutOfRange(this);
  }

  /** Records that compaction has taken out of their batch since they were offered are done. */
  #dropHoles(batch: Buffer): void {
    for (const { first, end } of this.#parked) {
      const upTo = Math.min(end, batchNextOffset(batch));
      if (first >= upTo) continue;
      for (const hole of holesOf(batch, first, upTo)) this.state.skip(hole.first, hole.end);
    }
    this.changed();
  }

  /** Gives back what lies below `end`, and keeps what is not yet at hand. */
  #unparkBelow(end: number): void {
    const parked = this.#parked;
    this.#parked = [];
    for (const run of parked) {
      if (run.first >= end) this.#parked.push(run);
      else if (!this.#mayCut) this.state.giveBack(run.first, run.end);
      else {
        this.state.giveBack(run.first, Math.min(run.end, end));
        if (run.end > end) this.#parked.push({ ...run, first: end });
      }
    }
  }
}

/** What lies at and above `from` is picked no more. */
function unpick(picked: PickedBatch[], from: number): void {
  for (let last = picked.pop(); last; last = picked.pop()) {
    const runs = takeBelow([...last.runs], from);
    if (runs.length === 0) continue;
    picked.push({ ...last, runs });
    return;
  }
}

/** Takes from the front of `runs` what lies below `end`; a run across it is split. */
function takeBelow(runs: DeliveredRun[], end: number): DeliveredRun[] {
  const below: DeliveredRun[] = [];
  for (let run = runs[0]; run && run.first < end; run = runs[0]) {
    if (run.end > end) {
      runs[0] = { ...run, first: end };
      below.push({ ...run, end });
      return below;
    }
    below.push(run);
    runs.shift();
  }
  return below;
}
