import { describe, expect, it } from 'vitest';
import { SluiceError } from '../../../src/kernel/errors.ts';
import { DurableWaiters } from '../../../src/log/disk/durable-waiters.ts';

function stage() {
  const waiters = new DurableWaiters();
  const told: string[] = [];
  const wait = (offset: number, name = String(offset)): void =>
    waiters.add(offset, (error) => told.push(error ? `${name} ${error.code}` : name));
  return { waiters, told, wait };
}

describe('who waits for offsets to be durable', () => {
  it('is told in order of offsets, and no earlier', () => {
    const { waiters, told, wait } = stage();
    for (const offset of [10, 30, 20, 20]) wait(offset);
    waiters.reached(9);
    expect(told).toEqual([]);
    waiters.reached(20);
    expect(told).toEqual(['10', '20', '20']);
    waiters.reached(30);
    expect(told).toEqual(['10', '20', '20', '30']);
  });

  it('is told once that it will not happen', () => {
    const { waiters, told, wait } = stage();
    wait(10);
    waiters.fail(new SluiceError('STORAGE_FULL', 'full'));
    waiters.reached(10);
    expect(told).toEqual(['10 STORAGE_FULL']);
  });

  it('may wait again from inside', () => {
    const { waiters, told, wait } = stage();
    waiters.add(10, () => wait(10, 'again'));
    waiters.reached(10);
    expect(told).toEqual([]);
    waiters.reached(10);
    expect(told).toEqual(['again']);
  });
});
