import { beforeEach, describe, expect, it } from 'vitest';
import { SluiceError } from '../../src/kernel/errors.ts';
import { StepRunner } from '../../src/replicas/step-runner.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { turns } from '../support/turns.ts';

describe('StepRunner', () => {
  let clock: FakeClock;
  let steps: number;
  let gate: PromiseWithResolvers<void> | undefined;
  let error: SluiceError | undefined;
  let told: string[];
  let runner: StepRunner;

  beforeEach(() => {
    clock = new FakeClock();
    steps = 0;
    gate = undefined;
    error = undefined;
    told = [];
    runner = new StepRunner({
      clock,
      step: async () => {
        steps++;
        await gate?.promise;
        if (error) throw error;
      },
      waitMs: () => 100,
      onFailed: ({ code }) => told.push(`failed ${code}`),
      onRecovered: () => told.push('recovered'),
    });
  });

  it('folds all that is told during a step into one more', async () => {
    gate = Promise.withResolvers();
    runner.wake();
    await turns();
    runner.wake();
    runner.wake();
    expect(steps).toBe(1);
    gate.resolve();
    await runner.settled();
    expect(steps).toBe(2);
  });

  it('misses nothing that is told while a step ends', async () => {
    for (let delay = 0; delay < 6; delay++) {
      runner.wake();
      for (let turn = 0; turn < delay; turn++) await Promise.resolve();
      const before = steps;
      runner.wake();
      await runner.settled();
      expect(steps).toBeGreaterThan(before);
    }
  });

  it('tries again after a while, and says once what fails and that it no longer does', async () => {
    error = new SluiceError('STORAGE_FULL', 'full');
    runner.wake();
    await expect(runner.settled()).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    clock.advance(100);
    await turns();
    clock.advance(99);
    await turns();
    expect([steps, told]).toEqual([2, ['failed STORAGE_FULL']]);
    error = undefined;
    clock.advance(1);
    await runner.settled();
    expect([steps, told, runner.failure]).toEqual([3, ['failed STORAGE_FULL', 'recovered'], undefined]);
  });

  it('says again what fails when the code is another, not when only the text is', async () => {
    for (const [code, text] of [
      ['UNAVAILABLE', 'after 1 ms'],
      ['UNAVAILABLE', 'after 2 ms'],
      ['STORAGE_FULL', 'after 2 ms'],
    ] as const) {
      error = new SluiceError(code, text);
      runner.wake();
      await turns();
    }
    expect(told).toEqual(['failed UNAVAILABLE', 'failed STORAGE_FULL']);
  });

  it('does not wait to try again when there is something new', async () => {
    error = new SluiceError('STORAGE_FULL', 'full');
    runner.wake();
    await turns();
    error = undefined;
    runner.wake();
    await runner.settled();
    clock.advance(1000);
    await turns();
    expect(steps).toBe(2);
  });

  it('waits also when the step that failed has brought news itself', async () => {
    error = new SluiceError('UNAVAILABLE', 'gone');
    gate = Promise.withResolvers();
    runner.wake();
    await turns();
    runner.wake();
    gate.resolve();
    await turns();
    expect(steps).toBe(1);
    clock.advance(100);
    await turns();
    expect(steps).toBe(2);
  });

  it('stops once the step under way is over, and tells nobody what became of it', async () => {
    gate = Promise.withResolvers();
    error = new SluiceError('STORAGE_FULL', 'full');
    runner.wake();
    runner.wake();
    let isOver = false;
    const stopping = runner.stop().then(() => (isOver = true));
    await turns();
    expect(isOver).toBe(false);
    gate.resolve();
    await stopping;
    runner.wake();
    clock.advance(1000);
    await turns();
    expect([steps, told]).toEqual([1, []]);
  });
});
