import { describe, expect, it } from 'vitest';
import { Ending } from '../../src/cli/ending.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { fakeTerminal } from './fake-terminal.ts';

/** Work that goes on until it is ended, when `came` records have come. */
function work(came: number): { ended: () => boolean; end: () => void; run: () => Promise<number> } {
  const over = Promise.withResolvers<number>();
  let isEnded = false;
  const end = (): void => {
    isEnded = true;
    over.resolve(came);
  };
  return { ended: () => isEnded, end, run: () => over.promise };
}

describe('Ending', () => {
  it('ends the work when time is up, which is no failure when any number would do', async () => {
    const clock = new FakeClock();
    const going = work(1);
    const code = new Ending({ timeout: '10s' }, fakeTerminal({ clock })).run(going.end, going.run);
    clock.advance(9_999);
    expect(going.ended()).toBe(false);
    clock.advance(1);
    expect(await code).toBeUndefined();
  });

  it.each([
    [1, 'TIMEOUT'],
    [2, undefined],
  ])('is a TIMEOUT only when fewer came than were asked for: %i of 2', async (came, code) => {
    const clock = new FakeClock();
    const going = work(came);
    const result = new Ending({ timeout: '10s', count: 2 }, fakeTerminal({ clock })).run(
      going.end,
      going.run,
    );
    clock.advance(10_000);
    if (code === undefined) await expect(result).resolves.toBeUndefined();
    else await expect(result).rejects.toMatchObject({ code });
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ])('ends the work on %s', async (signal, exitCode) => {
    const interruption = new AbortController();
    const terminal = fakeTerminal({ interrupted: interruption.signal });
    const going = work(0);
    const code = new Ending({}, terminal).run(going.end, going.run);
    interruption.abort(signal);
    expect(await code).toBe(exitCode);
  });

  it('leaves no timer behind when the work ends, or fails, by itself', async () => {
    const clock = new FakeClock();
    const ending = new Ending({ timeout: '10s' }, fakeTerminal({ clock }));
    const unused = (): void => undefined;
    await ending.run(unused, () => Promise.resolve(0));
    await expect(ending.run(unused, () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
    expect(clock.pendingTimers).toBe(0);
  });
});
