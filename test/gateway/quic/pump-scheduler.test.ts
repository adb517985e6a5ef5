import { describe, expect, it } from 'vitest';
import type { Pump } from '../../../src/gateway/quic/pump-scheduler.ts';
import { PumpScheduler } from '../../../src/gateway/quic/pump-scheduler.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const turnOfTheLoop = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('pump scheduler', () => {
  const clock = new FakeClock();
  const scheduler = new PumpScheduler(clock);
  const pump = (act: () => boolean): Pump => ({ scheduled: false, pump: act });

  it('gives a turn at the end of the tick, once, however often it was asked for', async () => {
    let turns = 0;
    const one = pump(() => {
      turns += 1;
      return false;
    });
    scheduler.wake(one);
    scheduler.wake(one);
    expect(turns).toBe(0);
    await Promise.resolve();
    expect(turns).toBe(1);
  });

  it('gives turns in the order they were asked for, and takes them in turn while there is more', async () => {
    const order: string[] = [];
    const twice = (name: string): Pump => {
      let left = 2;
      return pump(() => {
        order.push(name);
        left -= 1;
        return left > 0;
      });
    };
    scheduler.wake(twice('a'));
    scheduler.wake(twice('b'));
    await turnOfTheLoop();
    await turnOfTheLoop();
    expect(order).toEqual(['a', 'b', 'a', 'b']);
  });

  it('lets other work in between many turns', async () => {
    let turns = 0;
    let turnsAtOtherWork = 0;
    for (let i = 0; i < 1000; i += 1) {
      scheduler.wake(
        pump(() => {
          turns += 1;
          return false;
        }),
      );
    }
    setImmediate(() => {
      turnsAtOtherWork = turns;
    });
    while (scheduler.waitingCount > 0) await turnOfTheLoop();
    expect(turns).toBe(1000);
    expect(turnsAtOtherWork).toBeLessThan(1000);
  });

  /** Turns had when other work of the process got its chance. */
  async function turnsBeforeOtherWork(turns: { readonly had: number }): Promise<number> {
    let seen = 0;
    setImmediate(() => {
      seen = turns.had;
    });
    while (scheduler.waitingCount > 0) await turnOfTheLoop();
    return seen;
  }

  it('lets other work in between turns that take long', async () => {
    const turns = { had: 0 };
    for (let i = 0; i < 20; i += 1) {
      scheduler.wake(
        pump(() => {
          turns.had += 1;
          clock.advance(3);
          return false;
        }),
      );
    }
    expect(await turnsBeforeOtherWork(turns)).toBeLessThanOrEqual(4);
    expect(turns.had).toBe(20);
  });

  it('lets other work in between turns that are asked for from microtask to microtask', async () => {
    const turns = { had: 0 };
    const one = pump(() => {
      turns.had += 1;
      clock.advance(1);
      if (turns.had < 100) queueMicrotask(() => queueMicrotask(() => scheduler.wake(one)));
      return false;
    });
    scheduler.wake(one);
    const seen = turnsBeforeOtherWork(turns);
    while (turns.had < 100) await turnOfTheLoop();
    expect(await seen).toBeLessThanOrEqual(8);
  });
});
