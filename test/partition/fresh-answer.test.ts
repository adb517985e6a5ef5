import { expect, it } from 'vitest';
import { FreshAnswer } from '../../src/partition/fresh-answer.ts';
import { turns } from '../support/turns.ts';

/** Questions that are answered when the test says so. */
function asked(): { fresh: FreshAnswer<number>; open: PromiseWithResolvers<number>[] } {
  const open: PromiseWithResolvers<number>[] = [];
  const fresh = new FreshAnswer(() => {
    open.push(Promise.withResolvers<number>());
    return open.at(-1)!.promise;
  });
  return { fresh, open };
}

it('asks once for all who come meanwhile, and gives none of them an answer to what was asked before', async () => {
  const { fresh, open } = asked();
  const first = fresh.get();
  const later = [fresh.get(), fresh.get()];
  await turns(3);
  expect(open).toHaveLength(1);
  open[0]!.resolve(1);
  expect(await first).toBe(1);
  await turns(3);
  expect(open).toHaveLength(2);
  const latest = fresh.get();
  open[1]!.resolve(2);
  expect(await Promise.all(later)).toEqual([2, 2]);
  await turns(3);
  open[2]!.resolve(3);
  expect(await latest).toBe(3);
});

it('asks again after an answer, and after none', async () => {
  const { fresh, open } = asked();
  const failed = fresh.get();
  const behind = fresh.get();
  open[0]!.reject(new Error('nobody there'));
  await expect(failed).rejects.toThrow('nobody there');
  await turns(3);
  open[1]!.resolve(4);
  expect(await behind).toBe(4);
  await turns(3);
  const again = fresh.get();
  open[2]!.resolve(5);
  expect(await again).toBe(5);
});
