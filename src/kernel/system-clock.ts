import type { Clock, Timer } from './clock.ts';

/** The machine's own time: the only place that touches real clocks and timers. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer(delayMs: number, callback: () => void): Timer {
    const handle = setTimeout(callback, Math.max(0, delayMs));
    handle.unref();
    return {
      cancel: () => {
        clearTimeout(handle);
      },
    };
  },
};

/** Keeps the process alive, which timers of {@link systemClock} do not. @returns ends it; idempotent */
export function holdProcess(): () => void {
  const handle = setInterval(() => undefined, 0x7fff_ffff);
  return () => {
    clearInterval(handle);
  };
}
