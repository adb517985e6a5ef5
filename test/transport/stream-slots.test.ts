import { describe, expect, it } from 'vitest';
import { StreamSlots } from '../../src/transport/stream-slots.ts';

function fill(max: number, names: readonly string[]): { slots: StreamSlots<string>; granted: string[] } {
  const slots = new StreamSlots<string>(max);
  const granted: string[] = [];
  for (const name of names) slots.take(name, () => granted.push(name));
  return { slots, granted };
}

describe('stream slots', () => {
  it('lets streams beyond the limit wait in order', () => {
    const { slots, granted } = fill(1, ['a', 'b', 'c']);
    slots.release('a');
    expect(granted).toEqual(['a', 'b']);
  });

  it('gives no place to a stream that was given up while it waited', () => {
    const { slots, granted } = fill(1, ['a', 'b', 'c']);
    slots.release('b');
    slots.release('a');
    expect(granted).toEqual(['a', 'c']);
  });

  it('frees no place when a stream that has none is given up', () => {
    const { slots, granted } = fill(1, ['a', 'b', 'c', 'd']);
    slots.release('c');
    expect(granted).toEqual(['a']);
  });

  it('has every place again when all streams are over', () => {
    const { slots, granted } = fill(2, ['a', 'b', 'c']);
    for (const name of ['b', 'c', 'a']) slots.release(name);
    for (const name of ['d', 'e']) slots.take(name, () => granted.push(name));
    expect(granted).toEqual(['a', 'b', 'c', 'd', 'e']);
  });
});
