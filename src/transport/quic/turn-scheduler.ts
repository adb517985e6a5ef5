import type { Clock } from '../../kernel/clock.ts';

/** Something that has work to do once per turn. */
export interface TurnTaker {
  /** Whether it is in the list of this or the next turn; kept by the scheduler. */
  dirty: boolean;
  /** Whether it waits in line to send; kept by the scheduler. */
  inLine: boolean;
  /** First half of a turn: takes in what arrived and tells whom it is for. Must not throw. */
  takeIn(): void;
  /** Second half: sends what is to be sent, up to a bound. Must not throw. @returns whether it wants to go on */
  sendOut(): boolean;
}

/** How long those that something happened to send in one turn, and as long again those in line; who has begun is not cut short. */
const SEND_MS = 2;

/**
 * Gathers the connections that something happened to, and gives each one turn after all events of the tick are in: every
 * datagram that arrived is taken in first, so that one answer serves them all.
 *
 *     events of the tick ─> all take in ─> callbacks and promises run out ─> who was marked sends, last marked first
 *                                                                        └─> who is in line goes on, first come first
 *
 * What was received is acted upon before anything is sent: a message reaches its reader before the acknowledgement of its packet is
 * encrypted, and a subscriber, marked because a publisher was heard, is served before the publisher is answered.
 *
 * Who has more to send than one turn allows, or comes when the time of this one is over, stands in line. So a thousand connections
 * with a backlog keep nobody waiting who has little to send, and the sockets are read in between.
 */
export class TurnScheduler {
  readonly #clock: Clock;
  #dirty: TurnTaker[] = [];
  #line: TurnTaker[] = [];
  #scheduled = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Gives `taker` a turn soon; many marks before it are one turn. */
  mark(taker: TurnTaker): void {
    if (taker.dirty) return;
    taker.dirty = true;
    this.#dirty.push(taker);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#takeIn);
  }

  readonly #takeIn = (): void => {
    const count = this.#dirty.length;
    for (let index = 0; index < count; index++) this.#dirty[index]!.takeIn();
    for (const taker of this.#line) taker.takeIn();
    // A tick asked for by a microtask comes after all microtasks.
    queueMicrotask(this.#afterMicrotasks);
  };

  readonly #afterMicrotasks = (): void => {
    process.nextTick(this.#sendOut);
  };

  readonly #sendOut = (): void => {
    const marked = this.#dirty;
    const line = this.#line;
    this.#dirty = [];
    this.#line = [];
    this.#scheduled = false;
    const unfinished = this.#serveMarked(marked);
    if (line.length > 0) this.#serveLine(line);
    // Behind those that were in line before.
    for (const taker of unfinished) {
      taker.inLine = true;
      this.#line.push(taker);
    }
    if (this.#line.length > 0) this.#schedule();
  };

  /** @returns those that go on, or begin, in the next turns */
  #serveMarked(marked: readonly TurnTaker[]): readonly TurnTaker[] {
    const endMs = this.#clock.monotonicMs() + SEND_MS;
    const unfinished: TurnTaker[] = [];
    let isLate = false;
    for (let index = marked.length - 1; index >= 0; index--) {
      const taker = marked[index]!;
      if (taker.inLine || isLate) taker.dirty = false;
      if (!taker.inLine && (isLate || this.#send(taker))) unfinished.push(taker);
      isLate ||= index > 0 && this.#clock.monotonicMs() >= endMs;
    }
    return unfinished;
  }

  #serveLine(line: readonly TurnTaker[]): void {
    const endMs = this.#clock.monotonicMs() + SEND_MS;
    let index = 0;
    const again: TurnTaker[] = [];
    do {
      const taker = line[index++]!;
      if (this.#send(taker)) again.push(taker);
      else taker.inLine = false;
    } while (index < line.length && this.#clock.monotonicMs() < endMs);
    this.#line = [...line.slice(index), ...again];
  }

  /** What the taker's callbacks do to it meanwhile is part of this turn, not a reason for another. */
  #send(taker: TurnTaker): boolean {
    const isMarked = taker.dirty && taker.inLine;
    taker.dirty = true;
    const again = taker.sendOut();
    taker.dirty = isMarked;
    return again;
  }
}
