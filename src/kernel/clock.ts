import { SluiceError } from './errors.ts';

/** A timer that was set; `cancel` is idempotent. */
export interface Timer {
  cancel(): void;
}

/**
 * Time as a port: everything that looks at the clock or waits takes one of these, so that tests and the simulator own time.
 */
export interface Clock {
  /** Wall-clock time, whole milliseconds since 1970-01-01T00:00Z. May jump. */
  now(): number;
  /** Monotonic time in milliseconds with fractions; only differences mean anything. Never falls. */
  monotonicMs(): number;
  /** Calls `callback` once after at least `delayMs`; 0 or less: in a turn to come. Never keeps the process alive on its own. */
  setTimer(delayMs: number, callback: () => void): Timer;
}

/** Resolves after `delayMs` of `clock`'s time. */
export function delay(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    clock.setTimer(delayMs, resolve);
  });
}

/** Resolves after `delayMs`. @throws CANCELLED as soon as `signal` aborts */
export function abortableDelay(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      timer.cancel();
      reject(new SluiceError('CANCELLED', 'the wait was given up'));
    };
    const timer = clock.setTimer(delayMs, () => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    });
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
}
