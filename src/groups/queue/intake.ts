import { Backoff } from '../../kernel/backoff.ts';
import type { Clock, Timer } from '../../kernel/clock.ts';
import { SluiceError, asSluiceError } from '../../kernel/errors.ts';
import type { Random } from '../../kernel/random.ts';
import type { ReadResult } from '../../partition/reader.ts';
import { batchBaseOffset, batchNextOffset } from '../../wire/record-batch.ts';
import type { OpenReader, Topics } from '../ports.ts';
import type { AheadReader, ReadAhead } from './read-ahead.ts';

const RETRY = { minMs: 50, maxMs: 5000 } as const;

/** What came next in a partition. */
export type NewBatch =
  | { readonly kind: 'batch'; readonly batch: Buffer; readonly first: number; readonly end: number }
  /** Retention took these before they were offered. */
  | { readonly kind: 'gap'; readonly first: number; readonly end: number };

/** What {@link Intake} needs. */
export interface IntakeOptions {
  readonly topics: Topics;
  readonly topic: string;
  readonly partition: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly readAhead: ReadAhead;
  /** There may be something to {@link Intake.next}, or it has become known that there is nothing. Only schedules; never called by `next` itself. */
  readonly onChange: () => void;
  /** The log of the partition ends below where the queue wants to go on. */
  readonly onOutOfRange: () => void;
}

/** Reads what is new in one partition, in order, a little ahead, and only when somebody asks. */
export class Intake implements AheadReader {
  readonly #options: IntakeOptions;
  readonly #backoff: Backoff;
  readonly #ready: NewBatch[] = [];
  #readyBytes = 0;
  #open: OpenReader | undefined;
  #state: 'resting' | 'busy' | 'idle' | 'waiting-to-retry' | 'closed' = 'resting';
  #retry: Timer | undefined;
  /** Rises with each rest: what was begun before it means nothing any more. */
  #turn = 0;

  constructor(options: IntakeOptions) {
    this.#options = options;
    this.#backoff = new Backoff(RETRY, options.random);
  }

  /** Whether there is nothing, and nothing is being read. */
  get isQuiet(): boolean {
    return this.#ready.length === 0 && this.#state !== 'busy' && this.#state !== 'resting';
  }

  /** Where the partition begins; undefined: nobody reads it here who could know. */
  get logStart(): number | undefined {
    return this.#open?.reader.logStart;
  }

  /**
   * What comes next. Reads on for the time after, or begins to.
   * @param offset where the queue is: what lies below it is passed over
   * @returns undefined: nothing now; `onChange` is called when there is
   */
  next(offset: number): NewBatch | undefined {
    if (this.#state === 'closed') return undefined;
    let next = this.#shift(offset);
    if (!next) {
      this.#readOn(offset);
      next = this.#shift(offset);
    }
    return next;
  }

  /** Closes the cursor and forgets what it had read ahead, until something is asked for again. */
  rest(): void {
    this.#turn++;
    this.#retry?.cancel();
    this.#open?.close();
    this.#open = undefined;
    this.#ready.length = 0;
    this.#keepCount(0);
    if (this.#state !== 'closed') this.#state = 'resting';
  }

  letGo(): void {
    this.rest();
    // Whoever waits for it has it read again.
    this.#options.onChange();
  }

  /** Idempotent. */
  close(): void {
    this.#state = 'closed';
    this.rest();
  }

  #shift(offset: number): NewBatch | undefined {
    for (let next = this.#ready.shift(); next; next = this.#ready.shift()) {
      if (next.kind === 'batch') this.#keepCount(this.#readyBytes - next.batch.length);
      if (next.end > offset) return next;
    }
    return undefined;
  }

  #keepCount(readyBytes: number): void {
    this.#readyBytes = readyBytes;
    this.#options.readAhead.hold(this, readyBytes);
  }

  #readOn(offset: number): void {
    if (this.#state !== 'resting' && this.#state !== 'idle') return;
    if (this.#state === 'idle' && this.#open) return;
    if (this.#open) this.#read(this.#open);
    else void this.#begin(offset, this.#turn);
  }

  async #begin(offset: number, turn: number): Promise<void> {
    const { topics, topic, partition } = this.#options;
    this.#state = 'busy';
    try {
      const open = await topics.openReader(topic, partition, { at: 'offset', offset });
      if (turn !== this.#turn) {
        open.close();
        return;
      }
      this.#open = open;
      this.#backoff.reset();
      this.#read(open);
      this.#options.onChange();
    } catch (error) {
      if (turn === this.#turn) this.#failed(error);
    }
  }

  /** Reads until enough is there, or there is no more. */
  #read(open: OpenReader): void {
    const turn = this.#turn;
    this.#state = 'busy';
    const { readAhead } = this.#options;
    for (let room = readAhead.room(this.#readyBytes); room > 0; room = readAhead.room(this.#readyBytes)) {
      const result = open.reader.read(room);
      if (result instanceof Promise) {
        void result.then((late) => {
          this.#takeLate(open, late, turn);
        });
        return;
      }
      if (!this.#take(open, result)) return;
    }
    this.#state = 'resting';
  }

  #takeLate(open: OpenReader, result: ReadResult, turn: number): void {
    if (turn !== this.#turn) return;
    if (this.#take(open, result)) this.#read(open);
    this.#options.onChange();
  }

  /** @returns whether to read on */
  #take(open: OpenReader, result: ReadResult): boolean {
    switch (result.kind) {
      case 'batches': {
        let bytes = this.#readyBytes;
        for (const batch of result.batches) {
          bytes += batch.length;
          this.#ready.push({
            kind: 'batch',
            batch,
            first: batchBaseOffset(batch),
            end: batchNextOffset(batch),
          });
        }
        this.#keepCount(bytes);
        return true;
      }
      case 'gap':
        this.#ready.push({ kind: 'gap', first: result.from, end: result.to });
        return true;
      case 'idle': {
        const turn = this.#turn;
        this.#state = 'idle';
        open.reader.onReadable = () => {
          if (turn !== this.#turn) return;
          this.#state = 'resting';
          this.#options.onChange();
        };
        return false;
      }
      case 'ended':
        this.#failed(new SluiceError(result.code ?? 'UNAVAILABLE', 'the partition cannot be read any more'));
        return false;
    }
  }

  #failed(error: unknown): void {
    this.#open?.close();
    this.#open = undefined;
    this.#state = 'waiting-to-retry';
    const turn = this.#turn;
    this.#retry = this.#options.clock.setTimer(this.#backoff.nextMs(), () => {
      if (turn !== this.#turn) return;
      this.#state = 'resting';
      this.#options.onChange();
    });
    if (asSluiceError(error).code === 'OFFSET_OUT_OF_RANGE') this.#options.onOutOfRange();
    this.#options.onChange();
  }
}
