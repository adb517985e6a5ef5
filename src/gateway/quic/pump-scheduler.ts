import type { Clock } from '../../kernel/clock.ts';

/** Something that writes when it is its turn. */
export interface Pump {
  /** Owned by the scheduler: true while the pump waits for its turn. */
  scheduled: boolean;
  /**
   * Does at most one turn's work; never throws.
   * @returns true when there is more to do at once
   */
  pump(): boolean;
}

/** Turns after which other work of the process gets its chance, so that 10,000 woken streams do not hold up a publisher. */
const TURNS_PER_PASS = 256;
/** Time after which it gets it, however few turns that were; a turn that has begun is not cut short. */
const PASS_MS = 4;

/**
 * Gives pumps their turns: all that were woken in one tick run in one pass, in the order they were woken.
 *
 *     wake ─> waiting ─ end of this tick ─> pass of up to 256 turns or 4 ms ─ more left ─> next turn of the event loop ─> pass …
 *
 * The first pass is a microtask, because latency matters; further passes let sockets be read in between, so that a
 * backlog of many subscribers never keeps the process from hearing publishers. Pumps that wake each other from microtask to
 * microtask get no more time than one pass before that: what passes in microtasks have spent is added up.
 */
export class PumpScheduler {
  readonly #clock: Clock;
  #waiting: Pump[] = [];
  #head = 0;
  #armed = false;
  /** Time spent in passes since the last one that came with a turn of the event loop. */
  #spentMs = 0;
  #endsMs = 0;
  readonly #soon = (): void => this.#pass();
  readonly #later = (): void => {
    this.#spentMs = 0;
    this.#pass();
  };

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Pumps that wait for a turn. */
  get waitingCount(): number {
    return this.#waiting.length - this.#head;
  }

  /** Whether the pass at hand has used up its time: a pump that could go on asks for another turn instead. */
  get late(): boolean {
    return this.#clock.monotonicMs() >= this.#endsMs;
  }

  /** Asks for a turn. Idempotent until the turn has come. */
  wake(pump: Pump): void {
    if (pump.scheduled) return;
    pump.scheduled = true;
    this.#waiting.push(pump);
    if (this.#armed) return;
    this.#armed = true;
    if (this.#spentMs < PASS_MS) queueMicrotask(this.#soon);
    else setImmediate(this.#later);
  }

  #pass(): void {
    const startedMs = this.#clock.monotonicMs();
    this.#endsMs = startedMs + PASS_MS - this.#spentMs;
    const end = Math.min(this.#waiting.length, this.#head + TURNS_PER_PASS);
    do {
      const pump = this.#waiting[this.#head++]!;
      pump.scheduled = false;
      if (pump.pump()) this.wake(pump);
    } while (this.#head < end && !this.late);
    this.#spentMs += this.#clock.monotonicMs() - startedMs;
    this.#compact();
    if (this.#waiting.length === 0) this.#armed = false;
    else setImmediate(this.#later);
  }

  /** Forgets the pumps that had their turn, without moving the rest each time. */
  #compact(): void {
    if (this.#head === this.#waiting.length) {
      this.#waiting.length = 0;
      this.#head = 0;
    } else if (this.#head > 1024 && this.#head * 2 > this.#waiting.length) {
      this.#waiting.splice(0, this.#head);
      this.#head = 0;
    }
  }
}
