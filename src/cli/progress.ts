import type { Clock, Timer } from '../kernel/clock.ts';
import type { Output } from './terminal.ts';

const FIRST_MS = 1000;
const TERMINAL_MS = 500;
const PLAIN_MS = 5000;

/** Shows on stderr how long work is going: one line that is written over on a terminal, a line every five seconds elsewhere. */
export class Progress {
  readonly #output: Output;
  readonly #clock: Clock;
  readonly #text: () => string;
  #timer: Timer;
  #shown = false;

  /** Nothing is shown in the first second. @param text what to show now, one line */
  constructor(output: Output, clock: Clock, text: () => string) {
    this.#output = output;
    this.#clock = clock;
    this.#text = text;
    this.#timer = clock.setTimer(output.isTTY ? FIRST_MS : PLAIN_MS, () => this.#show());
  }

  #show(): void {
    if (this.#output.isTTY) this.#output.write(`\r\x1b[2K${this.#text()}`);
    else this.#output.line(this.#text());
    this.#shown = true;
    this.#timer = this.#clock.setTimer(this.#output.isTTY ? TERMINAL_MS : PLAIN_MS, () => this.#show());
  }

  /** Stops, and wipes the line on a terminal. Idempotent. */
  stop(): void {
    this.#timer.cancel();
    if (this.#shown && this.#output.isTTY) this.#output.write('\r\x1b[2K');
    this.#shown = false;
  }
}
