import { expect, it } from 'vitest';
import { Turns } from '../../src/kernel/turns.ts';

it('of all who wait one has each turn, in the order in which they came', async () => {
  const turns = new Turns();
  const order: string[] = [];
  const work = async (name: string): Promise<void> => {
    for (let part = 0; part < 3; part++) {
      await turns.next();
      order.push(name);
    }
  };
  let isOver = false;
  const watch = (): void => {
    order.push('|');
    if (!isOver) setImmediate(watch);
  };
  setImmediate(watch);
  await Promise.all([work('a'), work('b')]);
  isOver = true;
  expect(order.join('')).toMatch(/^\|?a\|b\|a\|b\|a\|b\|?$/);
});
