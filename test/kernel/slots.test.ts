import { describe, expect, it } from 'vitest';
import { Askers, Asking, Slots } from '../../src/kernel/slots.ts';
import { turns } from '../support/turns.ts';

describe('slots', () => {
  it('let no more happen at once than there are, in order, also when one fails', async () => {
    const slots = new Slots(2);
    const started: number[] = [];
    const ends: (() => void)[] = [];
    const done = [0, 1, 2, 3].map((n) =>
      slots.run(async () => {
        started.push(n);
        await new Promise<void>((resolve) => ends.push(resolve));
        if (n === 1) throw new Error('failed');
      }),
    );
    const settled = Promise.allSettled(done);
    expect([started, slots.waitingCount]).toEqual([[0, 1], 2]);
    ends[1]!();
    await turns(1);
    expect(started).toEqual([0, 1, 2]);
    ends[0]!();
    await turns(1);
    expect(started).toEqual([0, 1, 2, 3]);
    for (const end of ends.slice(2)) end();
    expect((await settled).map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      'fulfilled',
      'fulfilled',
    ]);
  });

  it('leave out what nobody waits for any more before its turn, also where it is asked for too late', async () => {
    const slots = new Slots(1);
    const started: string[] = [];
    const first = Promise.withResolvers<undefined>();
    const run = (name: string, gone?: AbortSignal): Promise<string> =>
      slots
        .run(() => {
          started.push(name);
          return name === 'first' ? first.promise : undefined;
        }, gone && { gone })
        .then(
          () => name,
          (error: unknown) => (error as { code: string }).code,
        );
    const going = new AbortController();
    const asked = [run('first', going.signal), run('gone', going.signal), run('last')];
    going.abort();
    asked.push(run('late', going.signal));
    expect(slots.waitingCount).toBe(1);
    first.resolve(undefined);
    expect(await Promise.all(asked)).toEqual(['first', 'CANCELLED', 'last', 'CANCELLED']);
    expect(started).toEqual(['first', 'last']);
    expect(await run('after')).toBe('after');
  });
});

describe('several who wait for the same', () => {
  it('are gone when all of them are, and not before', () => {
    const [one, other] = [new Asking(), new Asking()];
    const askers = new Askers(one);
    askers.add(one);
    askers.add(other);
    one.drop();
    expect(askers.gone.aborted).toBe(false);
    other.drop();
    expect(askers.gone.aborted).toBe(true);
  });

  it('are never gone when nobody knows when one of them goes', () => {
    const one = new Asking();
    const askers = new Askers(one);
    askers.add(undefined);
    one.drop();
    expect(askers.gone.aborted).toBe(false);
  });

  it('are gone at once when the only one is', () => {
    expect(new Askers({ gone: AbortSignal.abort() }).gone.aborted).toBe(true);
  });

  it('are not listened to any more when it is done', () => {
    const one = new Asking();
    const askers = new Askers(one);
    askers.end();
    one.drop();
    expect(askers.gone.aborted).toBe(false);
  });
});
