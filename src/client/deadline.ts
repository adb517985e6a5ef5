import type { Clock } from '../kernel/clock.ts';
import { asSluiceError, SluiceError } from '../kernel/errors.ts';

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

/** `promise`, or the error of `onTimeout` when it has not settled after `timeoutMs`; the promise itself goes on. */
export function withDeadline<T>(
  clock: Clock,
  timeoutMs: number,
  promise: Promise<T>,
  onTimeout: () => SluiceError,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.setTimer(timeoutMs, () => reject(onTimeout()));
    promise.then(
      (value) => {
        timer.cancel();
        resolve(value);
      },
      (error: unknown) => {
        timer.cancel();
        reject(asSluiceError(error));
      },
    );
  });
}
