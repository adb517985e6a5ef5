import { SluiceError } from '../kernel/errors.ts';
import { quantity } from '../kernel/quantity.ts';
import { exitInterrupted } from './exit-codes.ts';
import { count } from './format.ts';
import type { Terminal } from './terminal.ts';
import { durationOption } from './units.ts';

/** When a command that goes on by itself is to end. */
export interface EndingFlags {
  readonly count?: number;
  readonly timeout?: string;
}

/** Why something was ended from here. */
type Why = 'timeout' | 'interrupted' | 'reader gone';

/** Ends what goes on by itself: when time is up, somebody interrupts, or nobody reads the output any more. */
export class Ending {
  readonly #flags: EndingFlags;
  readonly #terminal: Terminal;
  readonly #timeoutMs: number | undefined;
  #why: Why | undefined;

  /** @throws INVALID_ARGUMENT for a timeout that is none */
  constructor(flags: EndingFlags, terminal: Terminal) {
    this.#flags = flags;
    this.#terminal = terminal;
    this.#timeoutMs = flags.timeout === undefined ? undefined : durationOption('--timeout', flags.timeout);
  }

  /**
   * Waits for `work`, and calls `end` at the first reason to end it.
   *
   * @param work resolves with the number of records that came
   * @returns the exit code: 130 or 143 after an interrupt, undefined when all is well
   * @throws TIMEOUT when time was up before the count was reached; what `work` throws
   */
  async run(end: () => void, work: () => Promise<number>): Promise<number | undefined> {
    const { clock, interrupted, stdout } = this.#terminal;
    const because = (why: Why): void => {
      this.#why ??= why;
      end();
    };
    const timer =
      this.#timeoutMs === undefined ? undefined : clock.setTimer(this.#timeoutMs, () => because('timeout'));
    onAbort(interrupted, () => because('interrupted'));
    onAbort(stdout.closed, () => because('reader gone'));
    try {
      return this.#exitCode(await work());
    } finally {
      timer?.cancel();
    }
  }

  #exitCode(came: number): number | undefined {
    if (this.#why === 'interrupted') return exitInterrupted(this.#terminal.interrupted);
    const { count: wanted, timeout } = this.#flags;
    if (this.#why === 'timeout' && wanted !== undefined && came < wanted) {
      throw new SluiceError(
        'TIMEOUT',
        `${count(came)} of ${quantity(wanted, 'record')} came within ${timeout!}`,
      );
    }
    return undefined;
  }
}

function onAbort(signal: AbortSignal, callback: () => void): void {
  if (signal.aborted) callback();
  else signal.addEventListener('abort', callback, { once: true });
}
