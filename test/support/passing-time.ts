import type { FakeClock } from './fake-clock.ts';
import { turns } from './turns.ts';

const TICK_MS = 50;

/** Lets time pass in small steps, and whatever each of them brings about happen. */
export async function passTime(clock: FakeClock, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += TICK_MS) await tick(clock);
}

/** Lets time pass until something is done. @returns what comes of it */
export async function passUntil<T>(clock: FakeClock, work: Promise<T>): Promise<T> {
  let isDone = false;
  const finish = (): void => void (isDone = true);
  work.then(finish, finish);
  await turns();
  while (!isDone) await tick(clock);
  return work;
}

async function tick(clock: FakeClock): Promise<void> {
  clock.advance(TICK_MS);
  await turns(4);
}
