import type { Timer } from '../../kernel/clock.ts';
import { SluiceError } from '../../kernel/errors.ts';
import type { GroupQuestion } from '../api.ts';
import type { PartitionRunner, TakenBatch } from './partition-runner.ts';
import { momentOf } from './moment.ts';
import type { QueueContext } from './queue-context.ts';
import { checkLease } from './queue-settings.ts';
import type { Taken } from './waiting-receive.ts';
import { WaitingReceive } from './waiting-receive.ts';

const RECORDS_MAX = 10_000;
const BYTES_DEFAULT = 1024 * 1024;
const BYTES_MAX = 16 * 1024 * 1024;
const WAIT_MAX_MS = 30_000;
/** Requests that wait at one queue. */
const WAITING_MAX = 100_000;
/** When nobody has asked for so long, cursors close. */
const REST_MS = 30_000;

/** Requests for records of one queue, and who gets what: the first first, from each partition in turn. */
export class WaitingLine {
  readonly #context: QueueContext;
  readonly #runners: () => readonly PartitionRunner[];
  readonly #onAsked: () => void;
  readonly #waiting = new Set<WaitingReceive>();
  #nextRunner = 0;
  #restTimer: Timer | undefined;
  #wasAsked = false;
  #refusal: SluiceError | undefined;

  /** @param onAsked somebody asks, or asks no more; call {@link serve} in a turn to come */
  constructor(context: QueueContext, runners: () => readonly PartitionRunner[], onAsked: () => void) {
    this.#context = context;
    this.#runners = runners;
    this.#onAsked = onAsked;
  }

  /** Requests that wait. */
  get length(): number {
    return this.#waiting.size;
  }

  /** Waits for records, which are leased but not stored as that. @throws INVALID_ARGUMENT, OVERLOADED, CANCELLED */
  async take(question: GroupQuestion<'receive'>, leaseMs: number, signal?: AbortSignal): Promise<Taken> {
    const { maxRecords, maxBytes, maxWaitMs } = question;
    if (maxRecords < 1 || maxRecords > RECORDS_MAX) {
      throw new SluiceError('INVALID_ARGUMENT', `max_records is ${maxRecords}; it is 1 to ${RECORDS_MAX}`);
    }
    if (question.leaseMs !== 0) checkLease(question.leaseMs);
    if (signal?.aborted) throw goneError();
    if (this.#refusal) throw this.#refusal;
    if (this.#waiting.size >= WAITING_MAX)
      throw new SluiceError('OVERLOADED', 'too many consumers wait at this queue');
    const receive = new WaitingReceive({
      records: maxRecords,
      bytes: Math.min(maxBytes || BYTES_DEFAULT, BYTES_MAX),
      leaseMs: question.leaseMs || leaseMs,
      waitMs: Math.min(maxWaitMs, WAIT_MAX_MS),
      clock: this.#context.clock,
      signal,
      onOver: (over) => {
        this.#over(over);
      },
    });
    this.#waiting.add(receive);
    this.#wasAsked = true;
    this.#restTimer ??= this.#context.clock.setTimer(REST_MS, this.#rest);
    this.#onAsked();
    return receive.taken;
  }

  /** Gives what there is to those who wait. */
  serve(): void {
    for (const receive of this.#waiting) {
      const taken = this.#takeFor(receive);
      if (taken.batches.length === 0 && taken.gaps.length === 0) break;
      this.#waiting.delete(receive);
      receive.answer(taken);
    }
    if (this.#waiting.size > 0 && this.#runners().every(({ isQuiet }) => isQuiet)) this.#answerDue();
  }

  /** All who wait, and whoever comes, is refused. */
  close(error: SluiceError): void {
    this.#refusal = error;
    this.#restTimer?.cancel();
    for (const receive of this.#waiting) receive.refuse(error);
    this.#waiting.clear();
  }

  #takeFor({ records, bytes, leaseMs }: WaitingReceive): Taken {
    const runners = this.#runners();
    const now = momentOf(this.#context.clock);
    const batches: TakenBatch[] = [];
    const gaps: Taken['gaps'][number][] = [];
    const start = this.#nextRunner++;
    let left = { records, bytes };
    for (let i = 0; i < runners.length && left.records > 0 && left.bytes > 0; i++) {
      const runner = runners[(start + i) % runners.length]!;
      const taken = runner.take({ ...left, leaseMs, atLeastOne: batches.length === 0 }, now);
      for (const one of taken) left = leftAfter(left, one);
      batches.push(...taken);
      gaps.push(...runner.takeGaps());
    }
    return { batches, gaps };
  }

  #over(receive: WaitingReceive): void {
    if (receive.isGone) {
      this.#waiting.delete(receive);
      receive.refuse(goneError());
    }
    // Whether there is nothing is known only when all partitions were looked at.
    else this.#onAsked();
  }

  #answerDue(): void {
    for (const receive of this.#waiting) {
      if (!receive.isDue) continue;
      this.#waiting.delete(receive);
      receive.answer({ batches: [], gaps: [] });
    }
  }

  readonly #rest = (): void => {
    this.#restTimer = undefined;
    if (this.#wasAsked || this.#waiting.size > 0) {
      this.#wasAsked = false;
      this.#restTimer = this.#context.clock.setTimer(REST_MS, this.#rest);
    } else for (const runner of this.#runners()) runner.rest();
  };
}

/** The asker of a question has gone. */
export function goneError(): SluiceError {
  return new SluiceError('CANCELLED', 'the asker has gone');
}

interface Left {
  readonly records: number;
  readonly bytes: number;
}

function leftAfter({ records, bytes }: Left, { batch, leases }: TakenBatch): Left {
  let left = records;
  for (const { first, end } of leases) left -= end - first;
  return { records: left, bytes: bytes - batch.length };
}
