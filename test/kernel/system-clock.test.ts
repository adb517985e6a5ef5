import { expect, it } from 'vitest';
import { systemClock } from '../../src/kernel/system-clock.ts';

it('a timer for what is past is due at once, and is nothing to warn of', async () => {
  const warnings: Error[] = [];
  const note = (warning: Error): void => void warnings.push(warning);
  process.on('warning', note);
  await new Promise<void>((resolve) => {
    systemClock.setTimer(-1.5, resolve);
  });
  await new Promise((resolve) => setImmediate(resolve));
  process.off('warning', note);
  expect(warnings).toEqual([]);
});
