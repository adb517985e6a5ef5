import { describe, expect, it } from 'vitest';
import { PlaceTable } from '../../src/partition/place-table.ts';

const at = (topic: string, partition: number) => ({ topic, partition });

describe('PlaceTable', () => {
  it('finds what was put in a place, one or many', () => {
    const table = new PlaceTable();
    const [a, b, c] = [at('t', 0), at('t', 1), at('u', 0)];
    table.set(a);
    expect([table.get(at('t', 0)), table.get(at('t', 1)), table.size]).toEqual([a, undefined, 1]);
    table.set(b);
    table.set(c);
    expect([table.get(at('t', 0)), table.get(at('t', 1)), table.get(at('u', 0))]).toEqual([a, b, c]);
    expect([table.size, table.values()]).toEqual([3, [a, b, c]]);
  });

  it('replaces what is in a place already', () => {
    const table = new PlaceTable();
    const [first, second] = [at('t', 0), at('t', 0)];
    table.set(first);
    table.set(second);
    expect(table.values()).toEqual([second]);
    expect(table.get(first)).toBe(second);
  });

  it('takes out only what is there', () => {
    const table = new PlaceTable();
    table.set(at('t', 0));
    expect(table.delete(at('t', 1))).toBe(false);
    expect(table.delete(at('t', 0))).toBe(true);
    table.set(at('t', 0));
    table.set(at('t', 1));
    expect(table.delete(at('t', 0))).toBe(true);
    expect(table.values()).toEqual([at('t', 1)]);
    table.clear();
    expect(table.size).toBe(0);
  });
});
