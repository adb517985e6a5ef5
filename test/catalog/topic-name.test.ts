import { describe, expect, it } from 'vitest';
import { checkTopicName, parseAddress } from '../../src/catalog/topic-name.ts';

const coded = (code: string): Error => expect.objectContaining({ code }) as Error;

describe('topic names', () => {
  it.each(['a', 'A-b_c.9', '9', '__groups', 'a'.repeat(249)])('takes %j', (name) => {
    expect(() => checkTopicName(name)).not.toThrow();
  });

  it.each(['', '.', '..', '-a', '_a', '__', 'a/b', 'a b', 'a*', 'a\n', 'ä', 'a'.repeat(250)])(
    'refuses %j',
    (name) => {
      expect(() => checkTopicName(name)).toThrow(coded('INVALID_TOPIC'));
    },
  );
});

describe('addresses', () => {
  it.each([
    ['orders', 'orders', undefined],
    ['orders/', 'orders', ''],
    ['orders/a/b/', 'orders', 'a/b/'],
    ['orders//', 'orders', '/'],
    ['orders/ä', 'orders', 'ä'],
  ])('splits %j at the first slash', (address, topic, key) => {
    const parsed = parseAddress(address);
    expect([parsed.topic, parsed.key?.toString()]).toEqual([topic, key]);
  });

  it('refuses an address without topic', () => {
    expect(() => parseAddress('/a')).toThrow(coded('INVALID_TOPIC'));
  });

  it('refuses a key above 64 KiB', () => {
    expect(() => parseAddress(`a/${'k'.repeat(65_537)}`)).toThrow(coded('KEY_TOO_LARGE'));
  });
});
