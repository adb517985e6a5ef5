import { setTimeout as pause } from 'node:timers/promises';

const INTERVAL_MS = 20;

/**
 * Waits until a condition holds; for integration tests, where real processes take their time.
 *
 * @param what for the message
 * @param holds asked again and again
 * @param withinMs deadline, milliseconds: for completion, never a measure
 * @throws Error when it does not hold in time
 */
export async function eventually(
  what: string,
  holds: () => boolean | Promise<boolean>,
  withinMs = 30_000,
): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
    await pause(INTERVAL_MS);
  }
}
