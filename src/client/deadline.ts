import type { Clock } from '../kernel/clock.ts';
import type { SluiceError } from '../kernel/errors.ts';
import { asSluiceError } from '../kernel/errors.ts';

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
