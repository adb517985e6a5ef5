import type { Clock } from '../../kernel/clock.ts';

/** Something that has work to do once per turn. */
export interface TurnTaker {
  /** Whether it is in the list of this or the next turn; kept by the scheduler. */
  dirty: boolean;
  /** Whether it waits in line to send; kept by the scheduler. */
  inLine: boolean;
  /** Whether it has sent much in its last turn; kept by the scheduler. */
  bulky: boolean;
  /** First half of a turn: takes in what arrived and tells whom it is for. Must not throw. */
  takeIn(): void;
  /** Second half: sends what is to be sent, up to a bound. Must not throw. */
  sendOut(): SendOutcome;
}

/** What one turn's sending came to: little or much, and whether there is `more` to send at once. */
export type SendOutcome = 'little' | 'much' | 'more';

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
 * Who had much to send the last time stands in line, and so does who comes when the time of this turn is over. So a thousand
 * connections with a backlog keep nobody waiting who has little to send, and the sockets are read in between.
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
    this.#dirty = [];
    this.#scheduled = false;
    const unfinished = this.#serveMarked(marked);
    this.#serveLine();
    for (const taker of unfinished) this.#standInLine(taker);
    if (this.#line.length > 0) this.#schedule();
  };

  /** @returns those who have had their turn and want to go on */
  #serveMarked(marked: readonly TurnTaker[]): readonly TurnTaker[] {
    const endMs = this.#clock.monotonicMs() + SEND_MS;
    const unfinished: TurnTaker[] = [];
    let isLate = false;
    for (let index = marked.length - 1; index >= 0; index--) {
      const taker = marked[index]!;
      taker.dirty = false;
      if (taker.bulky || taker.inLine || isLate) this.#standInLine(taker);
      else if (this.#send(taker) === 'more') unfinished.push(taker);
      isLate ||= this.#clock.monotonicMs() >= endMs;
    }
    return unfinished;
  }

  /** Those who stand in line now; who is not done goes to its end. */
  #serveLine(): void {
    const line = this.#line;
    if (line.length === 0) return;
    const endMs = this.#clock.monotonicMs() + SEND_MS;
    this.#line = [];
    let index = 0;
    do {
      const taker = line[index++]!;
      taker.inLine = false;
      if (this.#send(taker) === 'more') this.#standInLine(taker);
    } while (index < line.length && this.#clock.monotonicMs() < endMs);
    if (index < line.length) this.#line = [...line.slice(index), ...this.#line];
  }

  /** What the taker's callbacks do to it meanwhile is part of this turn, not a reason for another. */
  #send(taker: TurnTaker): SendOutcome {
    const isMarked = taker.dirty;
    taker.dirty = true;
    const outcome = taker.sendOut();
    taker.dirty = isMarked;
    taker.bulky = outcome !== 'little';
    return outcome;
  }

  #standInLine(taker: TurnTaker): void {
    if (taker.inLine) return;
    taker.inLine = true;
    this.#line.push(taker);
  }
}
