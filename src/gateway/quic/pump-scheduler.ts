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

/**
 * Gives pumps their turns: all that were woken in one tick run in one pass, in the order they were woken.
 *
 *     wake ─> waiting ─ end of this tick ─> pass of up to 256 turns ─ more left ─> next turn of the event loop ─> pass …
 *
 * The first pass is a microtask, because latency matters; further passes let sockets be read in between, so that a
 * backlog of many subscribers never keeps the process from hearing publishers.
 */
export class PumpScheduler {
  #waiting: Pump[] = [];
  #head = 0;
  #armed = false;
  readonly #run = (): void => this.#pass();

  /** Pumps that wait for a turn. */
  get waitingCount(): number {
    return this.#waiting.length - this.#head;
  }

  /** Asks for a turn. Idempotent until the turn has come. */
  wake(pump: Pump): void {
    if (pump.scheduled) return;
    pump.scheduled = true;
    this.#waiting.push(pump);
    if (this.#armed) return;
    this.#armed = true;
    queueMicrotask(this.#run);
  }

  #pass(): void {
    const end = Math.min(this.#waiting.length, this.#head + TURNS_PER_PASS);
    while (this.#head < end) {
      const pump = this.#waiting[this.#head++]!;
      pump.scheduled = false;
      if (pump.pump()) this.wake(pump);
    }
    this.#compact();
    if (this.#waiting.length === 0) this.#armed = false;
    else setImmediate(this.#run);
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
