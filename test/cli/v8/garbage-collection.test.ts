import { setImmediate } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { collectGarbage } from '../../../src/cli/v8/garbage-collection.ts';

it('collects what nobody holds, and leaves no way to do so behind', async () => {
  const gone = new WeakRef({ some: 'thing' });
  // What was made in this turn is held until its end.
  await setImmediate();
  collectGarbage();
  expect(gone.deref()).toBeUndefined();
  expect(globalThis.gc).toBeUndefined();
});
