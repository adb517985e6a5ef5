import type { ErrorCode } from '../../kernel/errors.ts';
import { asSluiceError } from '../../kernel/errors.ts';
import type { PartitionReader, ReadResult } from '../../partition/reader.ts';
import type { DeliveryOwner, DeliverySink, SinkPump } from './delivery.ts';
import { BEHIND_BYTES, BEHIND_MS, EMPTY_READ_COST_BYTES, TURN_BYTES } from './limits.ts';
import { BATCH_HEADER_BYTES } from '../../wire/record-batch.ts';
import { FRAME_HEADER_BYTES } from '../../wire/frame.ts';
import type { PumpScheduler } from '../pump-scheduler.ts';
import type { Pump, TurnAccount } from '../turn-account.ts';

/** What a batch without records takes on a stream. */
const EMPTY_BATCH_BYTES = FRAME_HEADER_BYTES + BATCH_HEADER_BYTES;

/** What a step cost when nothing more can be done now. */
const NOTHING = -1;

const NO_BATCHES: readonly Buffer[] = [];

/**
 * Moves one partition's batches to one subscriber at the subscriber's pace.
 *
 *     reader ── read(128 KiB) ──> pump ── while writable, 256 KiB a turn ──> sink ──> stream
 *       └─ onReadable ─> wake          <─ wake ── onWritable ─┘
 *
 * A client that does not read makes the sink unwritable, and then the log is not read either. Memory answers at once, and nothing
 * is held. A log on disk answers later: then one more read is under way, or waits, while the last one is written, so that whoever
 * catches up does not wait for the disk and the network in turn. At most two reads are held then.
 */
export class DeliveryPump implements Pump, SinkPump {
  scheduled = false;
  readonly reader: PartitionReader;
  /** Asks for a turn: there may be something to read, or room to write. */
  readonly wake = (): void => {
    if (!this.#over) this.#scheduler.wake(this);
  };
  /** Ends it without a word: the client does not want it, or is gone. Idempotent. */
  readonly abandon = (): void => {
    if (this.#over) return;
    this.#close(undefined);
    this.#sink?.abandon();
  };
  readonly #owner: DeliveryOwner;
  readonly #scheduler: PumpScheduler;
  #sink: DeliverySink | undefined;
  /** Batches at hand, and the first of them that the sink has not taken. */
  #batches = NO_BATCHES;
  #next = 0;
  /** What comes after them, where it was read ahead. */
  #ahead: ReadResult | undefined;
  #reading: 'no' | 'yes' | 'asked' = 'no';
  #over = false;
  /** The last turn found everything read. */
  #idle = false;
  #behind = false;

  constructor(reader: PartitionReader, owner: DeliveryOwner, scheduler: PumpScheduler) {
    this.reader = reader;
    this.#owner = owner;
    this.#scheduler = scheduler;
    reader.onReadable = this.wake;
  }

  /** Begins to deliver to `sink`. */
  start(sink: DeliverySink): void {
    this.#sink = sink;
    this.wake();
  }

  get account(): TurnAccount {
    return this.#owner.account;
  }

  get topic(): string {
    return this.reader.topic;
  }

  get partition(): number {
    return this.reader.partition;
  }

  get blockedMs(): number {
    return this.#sink?.blockedMs ?? 0;
  }

  /** True while there is, or may be, something for the client and it has no room for it. */
  get blocked(): boolean {
    return !this.#over && (this.#holding || this.#sink?.writable === false);
  }

  pump(): boolean {
    const sink = this.#sink;
    if (this.#over || !sink) return false;
    if (!this.#idle || this.#behind) this.#judge(sink);
    this.#idle = false;
    let budget = TURN_BYTES;
    while (!this.#halted) {
      const cost = this.#step(sink);
      if (cost === NOTHING) return false;
      budget -= cost <= EMPTY_BATCH_BYTES ? EMPTY_READ_COST_BYTES : cost;
      if (budget <= 0 || this.#scheduler.late) return true;
    }
    return false;
  }

  /** Ends it with an END, or what the mode has instead. Idempotent. */
  end(code: ErrorCode | undefined, text: string): void {
    if (this.#over) return;
    this.#close(code);
    try {
      this.#sink?.finish(code, text);
    } catch {
      // Closed meanwhile: nobody is left to be told.
    }
  }

  get #holding(): boolean {
    return this.#next < this.#batches.length;
  }

  /** Asked again after each step, because a step may end it. */
  get #halted(): boolean {
    return this.#over || this.#owner.paused;
  }

  #judge(sink: DeliverySink): void {
    const { bytes, ms } = this.reader.lag();
    const behind = ms > BEHIND_MS || bytes > BEHIND_BYTES;
    if (behind === this.#behind) return;
    this.#behind = behind;
    sink.setBehind(behind);
  }

  #close(code: ErrorCode | undefined): void {
    this.#over = true;
    this.#drop();
    this.#ahead = undefined;
    this.reader.close();
    this.#owner.deliveryOver(this.reader, code);
  }

  /** One read, or what is left of the last one. @returns bytes handed on, or NOTHING */
  #step(sink: DeliverySink): number {
    try {
      if (this.#holding) return this.#handOn(sink);
      const result = sink.writable ? this.#nextResult(sink) : undefined;
      return result ? this.#take(sink, result) : NOTHING;
    } catch (error) {
      const known = asSluiceError(error);
      this.end(known.code, known.message);
      return NOTHING;
    }
  }

  #take(sink: DeliverySink, result: ReadResult): number {
    switch (result.kind) {
      case 'batches':
        this.#batches = result.batches;
        return this.#handOn(sink);
      case 'gap':
        sink.takeGap(result.from, result.to, result.reason);
        if (!this.#owner.endAtGap) return 0;
        this.end('GAP', `offsets ${result.from} to ${result.to} are gone and the subscription ends at a gap`);
        return NOTHING;
      case 'idle':
        this.#idle = true;
        return NOTHING;
      case 'ended':
        this.end(
          result.code,
          result.code === undefined ? 'the topic is gone' : 'the partition cannot be read',
        );
        return NOTHING;
    }
  }

  /** The sink takes what it has room for, and wakes the pump for the rest. */
  #handOn(sink: DeliverySink): number {
    const batches = this.#batches;
    const from = this.#next;
    const to = sink.take(batches, from);
    let bytes = 0;
    for (let at = from; at < to; at += 1) bytes += batches[at]!.length;
    this.#owner.delivered(bytes);
    if (to < batches.length) {
      if (!this.#over) this.#next = to;
      return NOTHING;
    }
    this.#drop();
    return bytes;
  }

  #drop(): void {
    this.#batches = NO_BATCHES;
    this.#next = 0;
  }

  /** Undefined while it is being read. */
  #nextResult(sink: DeliverySink): ReadResult | undefined {
    const ahead = this.#ahead;
    if (ahead) {
      this.#ahead = undefined;
      if (ahead.kind === 'batches') this.#readAhead(sink);
      return ahead;
    }
    if (this.#reading !== 'no') {
      this.#reading = 'asked';
      return undefined;
    }
    return this.#read(sink);
  }

  #readAhead(sink: DeliverySink): void {
    const result = this.#read(sink);
    // Nothing there is found out again once it is needed.
    if (result && result.kind !== 'idle') this.#ahead = result;
  }

  /** Undefined where it takes time: then the result is {@link #ahead} later, and the pump is woken. */
  #read(sink: DeliverySink): ReadResult | undefined {
    const result = this.reader.read(sink.readBytes);
    if (!(result instanceof Promise)) return result;
    this.#reading = 'yes';
    result.then(
      (found) => this.#arrived(found),
      (error: unknown) => this.#arrived({ kind: 'ended', code: asSluiceError(error).code }),
    );
    return undefined;
  }

  /** Even when it is paused or has no room by now: what was read cannot be put back. */
  #arrived(result: ReadResult): void {
    const asked = this.#reading === 'asked';
    this.#reading = 'no';
    if (this.#over) return;
    if (result.kind !== 'idle') {
      this.#ahead = result;
      this.wake();
      return;
    }
    this.#idle = !this.#holding;
    // An idle reader wakes the pump itself, unless it has done so before this was known.
    if (asked) this.wake();
  }
}
