import type { FastifyRequest } from 'fastify';
import { beforeEach, describe, expect, it } from 'vitest';
import type { DoWork, MadeAnswer, Work } from '../../../src/gateway/http/answers/answer-desk.ts';
import { AnswerDesk } from '../../../src/gateway/http/answers/answer-desk.ts';
import { PumpScheduler } from '../../../src/gateway/pump-scheduler.ts';
import { ByteBudget } from '../../../src/log/byte-budget.ts';
import { ANONYMOUS } from '../../../src/security/principal.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const BODY = Buffer.from('answer');

describe('the desk where large answers are made', () => {
  let clock: FakeClock;
  let unread: ByteBudget;
  let desk: AnswerDesk;
  beforeEach(() => {
    clock = new FakeClock();
    unread = new ByteBudget(100);
    desk = new AnswerDesk(new PumpScheduler(clock), unread, 90);
  });
  const from = (ip: string, socket = { destroyed: false }): FastifyRequest =>
    ({ principal: ANONYMOUS, ip, raw: { socket } }) as unknown as FastifyRequest;
  const turnOfLoop = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  /** Work of so many milliseconds. */
  function* lasting(ms: number, onStep: () => void = () => undefined): Work<undefined> {
    for (let step = 0; step < ms; step++) {
      onStep();
      clock.stall(1);
      yield;
    }
    return undefined;
  }

  it('refuses an answer that there is no room for before anything is done for it', async () => {
    let made = 0;
    const make = (): Promise<Buffer> => Promise.resolve(Buffer.alloc((made += 1) * 60));
    await desk.make(from('10.0.0.1'), 60, make);
    await expect(desk.make(from('10.0.0.2'), 60, make)).rejects.toMatchObject({ code: 'OVERLOADED' });
    expect(made).toBe(1);
  });

  it('has room for others where one does not read its answers, and for that one again once it has', async () => {
    const make = (): Promise<Buffer> => Promise.resolve(Buffer.alloc(50));
    const ask = (ip: string) => desk.make(from(ip), 50, make);
    const first = await ask('10.0.0.1');
    await expect(ask('10.0.0.1')).rejects.toMatchObject({ code: 'OVERLOADED' });
    expect(() => desk.checkRoom(from('10.0.0.1'), 50)).toThrow(/not read/);
    expect(unread.usedBytes).toBe(50);
    await ask('10.0.0.2');
    await expect(ask('10.0.0.3')).rejects.toMatchObject({ code: 'OVERLOADED' });
    first!.room.give();
    await ask('10.0.0.1');
    expect(unread.usedBytes).toBe(100);
  });

  it('keeps room for what an answer takes, once that is known, until it is given back', async () => {
    const answer = await desk.make(from('10.0.0.1'), 90, () => Promise.resolve(BODY));
    const heldBytes = unread.usedBytes;
    answer!.room.give();
    answer!.room.give();
    expect([heldBytes, unread.usedBytes]).toEqual([BODY.length, 0]);
  });

  it.each([
    ['fails', (): Promise<Buffer> => Promise.reject(new Error('it does'))],
    ['finds nothing', () => Promise.resolve(undefined)],
  ])('keeps no room for an answer that %s', async (_what, make) => {
    await desk.make(from('10.0.0.1'), 90, make).catch(() => undefined);
    expect(unread.usedBytes).toBe(0);
  });

  it('interrupts long work, so that other things of the process come in between', async () => {
    let steps = 0;
    const done = desk.make(from('10.0.0.1'), 1, async (work) => {
      await work(lasting(100, () => (steps += 1)));
      return BODY;
    });
    const seen: number[] = [];
    for (let turn = 0; turn < 5; turn++) {
      await turnOfLoop();
      seen.push(steps);
    }
    await done;
    const longest = Math.max(...seen.map((each, turn) => each - (seen[turn - 1] ?? 0)));
    expect([longest <= 8, steps]).toEqual([true, 100]);
  });

  it('makes a short answer of one while another has many long ones under way', async () => {
    const order: string[] = [];
    const long = Array.from({ length: 8 }, async () => {
      await desk.make(from('10.0.0.1'), 1, async (work) => {
        await work(lasting(200));
        return BODY;
      });
      order.push('long');
    });
    await turnOfLoop();
    await desk.make(from('10.0.0.2'), 1, async (work) => {
      await work(lasting(1));
      return BODY;
    });
    order.push('short');
    await Promise.all(long);
    expect(order[0]).toBe('short');
  });

  it('makes four answers of one at once, and lets a thousand wait', async () => {
    const hold = Promise.withResolvers<Buffer>();
    let begun = 0;
    const make = (): Promise<Buffer> => {
      begun += 1;
      return hold.promise;
    };
    const first: Promise<MadeAnswer | undefined>[] = [];
    for (let count = 0; count < 1004; count++) first.push(desk.make(from('10.0.0.1'), 0, make));
    const refused = await desk.make(from('10.0.0.1'), 0, make).catch((error: unknown) => error);
    const beforeRelease = begun;
    hold.resolve(Buffer.alloc(0));
    await Promise.all(first);
    const other = await desk.make(from('10.0.0.1'), 0, make);
    expect([beforeRelease, refused, begun, other?.body.length]).toMatchObject([
      ...[4, { code: 'OVERLOADED' }],
      ...[1005, 0],
    ]);
  });

  it('stops working for a client that is gone', async () => {
    const socket = { destroyed: false };
    let steps = 0;
    const work = (doWork: DoWork): Promise<Buffer> =>
      doWork(
        lasting(100, () => {
          steps += 1;
          socket.destroyed = steps === 10;
        }),
      ).then(() => BODY);
    const outcome = await desk.make(from('10.0.0.1', socket), 50, work).catch((error: unknown) => error);
    expect([outcome, steps, unread.usedBytes]).toMatchObject([{ code: 'CLOSED' }, 10, 0]);
  });
});
