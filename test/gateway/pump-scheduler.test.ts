import { describe, expect, it } from 'vitest';
import { PumpScheduler } from '../../src/gateway/pump-scheduler.ts';
import type { Pump } from '../../src/gateway/turn-account.ts';
import { TurnAccount } from '../../src/gateway/turn-account.ts';
import { FakeClock } from '../support/fake-clock.ts';

const turnOfTheLoop = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('pump scheduler', () => {
  const clock = new FakeClock();
  const scheduler = new PumpScheduler(clock);
  const pump = (act: () => boolean, account = new TurnAccount()): Pump => ({
    scheduled: false,
    account,
    pump: act,
  });

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

  /** A connection with so many pumps that want a turn of 20 ms again and again, until they have had `turns` together. */
  function busyConnection(pumps: number, turns: number, told: () => void): TurnAccount {
    const account = new TurnAccount();
    let left = turns;
    const act = (): boolean => {
      if (left === 0) return false;
      left -= 1;
      told();
      clock.advance(20);
      return left > 0;
    };
    for (let index = 0; index < pumps; index += 1) scheduler.wake(pump(act, account));
    return account;
  }

  it('serves who has used little before who uses much, however much that one waits for', async () => {
    let busyTurns = 0;
    busyConnection(200, 400, () => (busyTurns += 1));
    while (busyTurns < 20) await turnOfTheLoop();
    const waits: number[] = [];
    for (let round = 0; round < 10; round += 1) {
      const before = busyTurns;
      scheduler.wake(
        pump(() => {
          waits.push(busyTurns - before);
          clock.advance(0.1);
          return false;
        }),
      );
      await turnOfTheLoop();
      await turnOfTheLoop();
    }
    expect(waits).toHaveLength(10);
    expect(Math.max(...waits)).toBeLessThanOrEqual(1);
    while (scheduler.waitingCount > 0) await turnOfTheLoop();
    expect(busyTurns).toBe(400);
  });

  it('shares evenly between who use much, whatever number of turns each waits for', async () => {
    const turns = { many: 0, one: 0 };
    busyConnection(200, 400, () => (turns.many += 1));
    while (turns.many < 20) await turnOfTheLoop();
    const before = turns.many;
    busyConnection(1, 50, () => (turns.one += 1));
    while (turns.one < 50) await turnOfTheLoop();
    expect(turns.many - before).toBeLessThanOrEqual(55);
    while (scheduler.waitingCount > 0) await turnOfTheLoop();
  });

  it('lets who uses much have turns too while others never rest', async () => {
    let [busyTurns, loops] = [0, 0];
    busyConnection(1, 60, () => (busyTurns += 1));
    while (busyTurns < 10) await turnOfTheLoop();
    const quiet = Array.from({ length: 500 }, () => pump(() => (clock.advance(0.5), busyTurns < 60)));
    for (const one of quiet) scheduler.wake(one);
    const before = busyTurns;
    while (busyTurns < 60) {
      loops += 1;
      await turnOfTheLoop();
    }
    expect(loops).toBeLessThanOrEqual(2 * (60 - before) + 2);
    while (scheduler.waitingCount > 0) await turnOfTheLoop();
  });

  it('forgives who has become quiet', () => {
    const account = new TurnAccount();
    account.charge(500, 1000);
    expect([account.isBusy(1000), account.holdsUp(1000)]).toEqual([true, true]);
    expect([account.isBusy(8000), account.holdsUp(8000)]).toEqual([false, false]);
  });
});
