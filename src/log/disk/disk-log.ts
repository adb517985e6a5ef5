import type { Clock, Timer } from '../../kernel/clock.ts';
import { SluiceError } from '../../kernel/errors.ts';
import type { Asker } from '../../kernel/slots.ts';
import { storageError } from '../../kernel/storage-error.ts';
import {
  batchBaseOffset,
  batchLeaderEpoch,
  batchMaxTimestamp,
  batchNextOffset,
} from '../../wire/record-batch.ts';
import type { LeaderEpoch, PartitionLog } from '../partition-log.ts';
import type { DiskLogOptions, DiskLogSettings } from './disk-log-options.ts';
import { DurableWaiters } from './durable-waiters.ts';
import type { LeaderEpochs } from '../leader-epochs.ts';
import { DurableStart } from './durable-start.ts';
import { LogCleaner } from './log-cleaner.ts';
import type { LossMark } from './loss-mark.ts';
import type { HealingHost } from './log-healing.ts';
import { LogHealing } from './log-healing.ts';
import { LogStart } from './log-start.ts';
import type { WriterHost } from './log-writer.ts';
import { LogWriter, checkPlace } from './log-writer.ts';
import { recover } from './recovery.ts';
import type { RecoveredLog } from './recovery.ts';
import { SegmentRemoval } from './segment-removal.ts';
import { SegmentStore } from './segment-store.ts';
import type { OnCorrupt } from './segment-store.ts';
import { SnapshotSchedule } from './snapshot-schedule.ts';
import { Tail } from './tail.ts';

export type { DiskLogObserver, DiskLogOptions, DiskLogSettings } from './disk-log-options.ts';

/** A log that nothing was appended to for so long has its snapshot brought up to date. */
const QUIET_MS = 1000;

/**
 * A partition's log on disk.
 *
 *     appended ─> tail (memory) ─> writer ─ one write for all that wait ─> active segment ─> durable, readers may see it
 *                   └─ readers at the tail, at once                         sealed segments ─> readers behind, a chunk at a time
 *
 * A write that fails is never taken for done: what was not written is refused, appends are refused, and the log goes back to what is
 * durable before it takes more; it tries that by itself until it succeeds.
 *
 * @see docs/file-format.md
 */
export class DiskLog implements PartitionLog, WriterHost, HealingHost {
  readonly directory: string;
  readonly clock: Clock;
  settings: DiskLogSettings;
  onLoss: ((end: number) => void) | undefined;
  retainedFrom: (() => number) | undefined;
  isEverywhere: (() => boolean) | undefined;
  readonly #options: DiskLogOptions;
  readonly #store: SegmentStore;
  readonly #writer: LogWriter;
  readonly #snapshots: SnapshotSchedule;
  readonly #epochs: LeaderEpochs;
  readonly #cleaner: LogCleaner;
  readonly #removal: SegmentRemoval;
  readonly #loss: LossMark;
  readonly #tail: Tail;
  readonly #waiters = new DurableWaiters();
  readonly #start: LogStart;
  readonly #durableStart: DurableStart;
  readonly #wallBaseMs: number;
  readonly #monotonicBaseMs: number;
  #logEnd: number;
  #durableEnd: number;
  #lastAppendMs = -Infinity;
  readonly #healing: LogHealing;
  #flushTimer: Timer | undefined;
  #closing: Promise<void> | undefined;

  private constructor(options: DiskLogOptions, wallMs: number, recovered: RecoveredLog) {
    const { clock, shared, observer } = options;
    this.directory = options.directory;
    this.clock = clock;
    this.settings = options.settings;
    this.#options = options;
    this.#wallBaseMs = wallMs;
    this.#monotonicBaseMs = clock.monotonicMs();
    const onCorrupt: OnCorrupt = (file, position, reason) => {
      shared.counters.corruptions++;
      observer.onCorrupt(file, position, reason);
    };
    this.#removal = new SegmentRemoval(options.directory, shared, () => this.#writer.sealed());
    this.#store = new SegmentStore(recovered.segments, shared, onCorrupt);
    const { snapshots, compaction } = recovered;
    const parts = { store: this.#store, snapshots, state: compaction, shared, onCorrupt, observer };
    this.#cleaner = new LogCleaner(this, parts);
    this.#epochs = recovered.epochs;
    this.#loss = recovered.loss;
    this.#durableStart = new DurableStart(recovered.logStart);
    this.#logEnd = this.#store.active.nextOffset;
    this.#durableEnd = this.#logEnd;
    this.#tail = new Tail(shared.tailBudget, this.#logEnd);
    this.#writer = new LogWriter(this, this.#store, shared);
    this.#snapshots = new SnapshotSchedule({
      snapshots,
      store: this.#store,
      writer: this.#writer,
      state: options.state,
      epochs: this.#epochs,
      uncoveredBytes: recovered.scannedBytes,
      positions: () => this.#positions(),
      onWritten: (logStart) => this.#durableStart.reached(logStart),
      onFailed: (cause) => {
        this.#durableStart.fail(storageError(cause, `cannot write a snapshot in ${this.directory}`));
      },
    });
    const own = {
      store: this.#store,
      snapshots: this.#snapshots,
      cleaner: this.#cleaner,
      removal: this.#removal,
    };
    this.#start = new LogStart(this, { ...own, epochs: this.#epochs }, recovered.logStart);
    this.#healing = new LogHealing(this, {
      ...own,
      ...{ writer: this.#writer, shared, state: options.state, loss: this.#loss, onCorrupt },
    });
  }

  /**
   * Opens the log in a directory, whatever happened to it before; see `recovery.ts`.
   * @throws STORAGE_FULL, STORAGE_FAILED, with the file in its text
   */
  static async open(options: DiskLogOptions): Promise<DiskLog> {
    try {
      const nowMs = options.clock.now();
      const recovered = await recover(options, nowMs);
      // A wall clock that was set back must not make what was just appended look as if it came from the future.
      const wallMs = Math.max(nowMs, ...recovered.segments.map(({ lastAppendMs }) => lastAppendMs));
      const log = new DiskLog(options, wallMs, recovered);
      await log.#writer.open();
      return log;
    } catch (cause) {
      throw storageError(cause, `cannot open the log in ${options.directory}`);
    }
  }

  get logStart(): number {
    return this.#start.offset;
  }

  get logEnd(): number {
    return this.#logEnd;
  }

  get durableEnd(): number {
    return this.#durableEnd;
  }

  get failure(): SluiceError | undefined {
    return this.#healing.failure;
  }

  get retainedBytes(): number {
    return this.#store.bytes + this.#tail.bytesFrom(this.#durableEnd);
  }

  /**
   * First offset of which it is not known that it is there although the log had said that it was durable: at this start, or before and nobody
   * has called {@link DiskLog.markWhole} since. Infinity where nothing is behind what is lost; undefined: nothing is lost.
   */
  get lostFrom(): number | undefined {
    return this.#loss.from;
  }

  get leaderEpochs(): readonly LeaderEpoch[] {
    return this.#epochs.entries;
  }

  /** Segment files, the active one included. */
  get segmentCount(): number {
    return this.#store.segments.length;
  }

  append(batch: Buffer): void {
    const { refusal } = this.#healing;
    if (refusal) throw refusal;
    const baseOffset = batchBaseOffset(batch);
    checkPlace(baseOffset, this.#logEnd);
    this.#writer.checkRoom(batch.length);
    const nextOffset = batchNextOffset(batch);
    const maxTimestampMs = batchMaxTimestamp(batch);
    const appendedMs = this.wallMs();
    const bytes = this.#tail.push(batch, baseOffset, nextOffset, appendedMs, maxTimestampMs);
    this.#epochs.add(batchLeaderEpoch(batch), baseOffset);
    this.#logEnd = nextOffset;
    this.#lastAppendMs = appendedMs;
    this.#snapshots.appended(bytes.length);
    this.#writer.append({ bytes, baseOffset, nextOffset, maxTimestampMs, appendedMs });
    this.#start.enforceIfDue();
  }

  whenDurable(offset: number, callback: (error: SluiceError | undefined) => void): void {
    if (offset <= this.#durableEnd) callback(undefined);
    else if (this.failure) callback(this.failure);
    else this.#waiters.add(offset, callback);
  }

  read(
    offset: number,
    upTo: number,
    maxBytes: number,
    asker?: Asker,
  ): readonly Buffer[] | Promise<readonly Buffer[]> {
    if (offset >= upTo || offset >= this.#logEnd) return [];
    if (offset >= this.#tail.start) return this.#tail.read(offset, upTo, maxBytes);
    return this.#store.read(offset, Math.min(upTo, this.#durableEnd), maxBytes, asker).catch(rethrow);
  }

  findTimestamp(timestampMs: number, upTo: number, asker?: Asker): Promise<Buffer | undefined> {
    return this.#store
      .findTimestamp(timestampMs, this.logStart, Math.min(upTo, this.#durableEnd), asker)
      .catch(rethrow);
  }

  bytesFrom(offset: number): number {
    if (offset >= this.#tail.start) return this.#tail.bytesFrom(offset);
    return this.#store.bytesFrom(offset) + this.#tail.bytesFrom(this.#durableEnd);
  }

  ageMsAt(offset: number): number {
    if (offset >= this.#logEnd) return 0;
    const appendedMs =
      offset >= this.#tail.start ? this.#tail.appendedMsAt(offset) : this.#store.appendedMsAt(offset);
    return Math.max(0, this.wallMs() - appendedMs);
  }

  enforceRetention(): void {
    if (this.#closing) return;
    this.#tail.trim(this.#durableEnd);
    const isIdle = !this.failure && this.#logEnd === this.#durableEnd;
    this.#start.enforce(isIdle ? this.#logEnd : undefined);
    if (isIdle && this.#start.isActivePassed) this.#dropActive();
    if (this.wallMs() - this.#lastAppendMs >= QUIET_MS) this.#snapshots.whenQuiet(this.#positions());
    this.#cleaner.consider();
  }

  configure(limits: Partial<DiskLogSettings>): void {
    const before = this.settings.flush;
    this.settings = { ...this.settings, ...limits };
    // What was written before is made durable as the old promise was, what comes is written as the new one asks.
    if (this.settings.flush !== before && !this.failure) this.#inBackground(() => this.#writer.adaptFlush());
    this.enforceRetention();
  }

  deleteBefore(offset: number): void {
    if (offset > this.#durableEnd) {
      throw new SluiceError('OFFSET_OUT_OF_RANGE', `offset ${offset} is above the end, ${this.#durableEnd}`);
    }
    if (offset <= this.logStart) return;
    this.#start.moveUp(offset);
    this.#snapshots.whenQuiet(this.#positions());
  }

  whenStartDurable(offset: number): Promise<void> {
    const waiting = this.#durableStart.when(offset, this.failure);
    if (!this.failure && !this.#durableStart.has(offset)) this.#snapshots.ensure(this.#positions());
    return waiting;
  }

  async truncate(offset: number): Promise<void> {
    // What is to stay is written first.
    await new Promise<void>((resolve) => {
      this.whenDurable(Math.min(offset, this.#logEnd), () => resolve());
    });
    await this.#healing.truncate(offset);
  }

  reset(offset: number): Promise<void> {
    return this.#healing.reset(offset);
  }

  /**
   * Takes the log for whole from now on, unless it loses something meanwhile; durable when it resolves.
   * @throws STORAGE_FAILED, STORAGE_FULL
   */
  async markWhole(): Promise<void> {
    const { losses } = this.#loss;
    await this.#writer
      .run(() => this.#loss.clear(losses))
      .catch((cause: unknown) => {
        throw storageError(cause, `cannot say that ${this.directory} is whole`);
      });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  wallMs(): number {
    return this.#wallBaseMs + this.clock.monotonicMs() - this.#monotonicBaseMs;
  }

  beforeHole(): Promise<void> {
    return this.#cleaner.beginHoles();
  }

  beforeWrite(): void {
    this.#snapshots.beforeWrite(this.#positions());
  }

  onBatch(nextOffset: number): void {
    this.#durableEnd = nextOffset;
    this.#snapshots.onBatch(this.#positions());
  }

  onWritten(): void {
    this.#tail.trim(this.#durableEnd);
    this.#armFlush();
    this.#waiters.reached(this.#durableEnd);
    this.#snapshots.onIdle(this.#positions());
  }

  onRolled(): void {
    this.#start.rolled();
    this.#snapshots.want();
  }

  onFailed(error: SluiceError): void {
    if (!this.#healing.fail(error)) return;
    this.#options.shared.counters.faults++;
    this.#logEnd = this.#durableEnd;
    this.#tail.reset(this.#durableEnd);
    this.#epochs.truncate(this.#durableEnd);
    this.#snapshots.hold();
    this.#options.observer.onFault(error);
    this.onTakenBack(error);
  }

  unpromise(end: number): void {
    this.#durableEnd = Math.min(this.#durableEnd, end);
    this.#logEnd = this.#durableEnd;
  }

  endAt(end: number): void {
    this.#logEnd = end;
    this.#durableEnd = end;
    this.#start.endAt(end);
    // Snapshots that knew where it starts may be gone.
    this.#durableStart.fallTo(0);
    this.#snapshots.want();
    this.#tail.reset(end);
    this.#epochs.truncate(end);
  }

  beginAt(offset: number): void {
    this.#start.beginAt(offset);
    this.#logEnd = offset;
    this.#durableEnd = offset;
    this.#durableStart.fallTo(offset);
    this.#tail.reset(offset);
    this.#epochs.clear();
  }

  onTakenBack(error: SluiceError): void {
    this.#waiters.fail(error);
    this.#durableStart.fail(error);
  }

  onLost(end: number): void {
    this.onLoss?.(end);
  }

  onHealed(): void {
    this.#options.observer.onHealed();
  }

  #positions(): { readonly logStart: number; readonly logEnd: number; readonly durableEnd: number } {
    return { logStart: this.logStart, logEnd: this.#logEnd, durableEnd: this.#durableEnd };
  }

  /** Nothing of the active segment is wanted any more: it goes when it is no longer the active one. */
  #dropActive(): void {
    this.#inBackground(async () => {
      await this.#writer.roll();
      this.#start.dropDeleted();
    });
  }

  /** What fails here is a fault, like a write that fails. */
  #inBackground(job: () => Promise<void>): void {
    this.#writer.run(job).catch((cause: unknown) => {
      if (!this.#closing) this.#writer.fail(cause);
    });
  }

  #armFlush(): void {
    if (this.settings.flush !== 'interval' || this.#flushTimer || this.#closing) return;
    this.#flushTimer = this.clock.setTimer(this.settings.flushIntervalMs, () => {
      this.#flushTimer = undefined;
      this.#inBackground(() => this.#writer.sync());
    });
  }

  async #close(): Promise<void> {
    this.#healing.stop();
    this.#flushTimer?.cancel();
    await this.#cleaner.hold();
    await new Promise<void>((resolve) => {
      this.whenDurable(this.#logEnd, () => resolve());
    });
    await this.#writer.run(async () => {
      this.#snapshots.hold();
      await this.#snapshots.settled();
      await this.#removal.settled();
      if (!this.failure) await this.#writeLast();
      this.#durableStart.fail(this.failure ?? new SluiceError('CLOSED', 'the log is closed'));
      this.#writer.stop();
      await this.#writer.closeFile().catch(() => undefined);
    });
    this.#store.close();
    await this.#options.shared.openFiles.settled();
    this.#tail.reset(this.#logEnd);
  }

  /** What cannot be made durable at the end is what the flush of the topic never promised; it is told all the same. */
  async #writeLast(): Promise<void> {
    try {
      await this.#writer.trim();
      await this.#snapshots.last(this.#positions());
    } catch (cause) {
      this.#options.observer.onFault(storageError(cause, `cannot close ${this.directory} in order`));
    }
  }
}

function rethrow(cause: unknown): never {
  throw storageError(cause, 'cannot read the log');
}
