import type { Clock } from '../../kernel/clock.ts';

/** Copies per second on connections that lose nothing, of all of them together: about a hundredth of a core. */
const MAX_COPIES_PER_SECOND = 1_000;
/** Buffers that wait for their next use. */
const MAX_SPARE_BUFFERS = 64;

/** What all connections of a transport share for the repetition of packets; see `Repetition`. */
export class RepetitionBudget {
  readonly #clock: Clock;
  readonly #bufferBytes: number;
  readonly #spare: Buffer[] = [];
  #secondStartMs = -Infinity;
  #copies = 0;

  /** @param bufferBytes size of the buffers that are lent */
  constructor(clock: Clock, bufferBytes: number) {
    this.#clock = clock;
    this.#bufferBytes = bufferBytes;
  }

  /** Asks for one copy on a connection that loses nothing. @returns whether it may be sent */
  take(): boolean {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs >= this.#secondStartMs + 1_000) {
      this.#secondStartMs = nowMs;
      this.#copies = 0;
    }
    this.#copies += 1;
    return this.#copies <= MAX_COPIES_PER_SECOND;
  }

  /** Lends a buffer: packets are kept for about a millisecond, so a thousand connections need few. */
  lend(): Buffer {
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(this.#bufferBytes);
  }

  /** Takes a buffer back. */
  takeBack(buffer: Buffer): void {
    if (this.#spare.length < MAX_SPARE_BUFFERS) this.#spare.push(buffer);
  }
}
