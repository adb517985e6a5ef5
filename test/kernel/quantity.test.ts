import { expect, it } from 'vitest';
import { quantity } from '../../src/kernel/quantity.ts';

it.each([
  [0, '0 records'],
  [1, '1 record'],
  [2, '2 records'],
  [1234, '1,234 records'],
])('%d: %s', (value, text) => {
  expect(quantity(value, 'record')).toBe(text);
});
