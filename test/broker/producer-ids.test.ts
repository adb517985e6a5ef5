import { describe, expect, it } from 'vitest';
import { ProducerIds } from '../../src/broker/producer-ids.ts';
import type { Principal } from '../../src/security/principal.ts';
import { ANONYMOUS } from '../../src/security/principal.ts';
import { batchOf } from '../support/batch.ts';

const named = (name: string): Principal => ({ name, kind: 'token', admin: false, rights: [] });
const [ALICE, BOB] = [named('alice'), named('bob')];
const EVERYBODY = [ALICE, BOB, ANONYMOUS];
const KEY = Buffer.alloc(32, 7);
const UNKNOWN_PRODUCER = expect.objectContaining({ code: 'UNKNOWN_PRODUCER' }) as Error;
const batchFrom = (producerId: number): Buffer =>
  batchOf([{ value: 'x' }], { producerId, producerEpoch: 0, baseSequence: 0 });

describe('producer ids', () => {
  const ids = new ProducerIds(KEY);

  it.each([1, 2, 1000, 2 ** 32 + 5, 2 ** 33 - 1])(
    'of number %i are taken from their principal, on whatever connection, and from nobody else',
    (number) => {
      for (const owner of EVERYBODY) {
        const batch = batchFrom(ids.bind(number, owner));
        for (const principal of EVERYBODY) {
          const check = (): void => ids.check(batch, { ...principal });
          if (principal === owner) expect(check).not.toThrow();
          else expect(check).toThrow(UNKNOWN_PRODUCER);
        }
      }
    },
  );

  it('are known again by another broker with the same key, and by none with another', () => {
    const batch = batchFrom(ids.bind(42, ALICE));
    expect(() => new ProducerIds(KEY).check(batch, ALICE)).not.toThrow();
    expect(() => new ProducerIds(KEY).check(batch, BOB)).toThrow(UNKNOWN_PRODUCER);
    expect(() => new ProducerIds(Buffer.alloc(32, 8)).check(batch, ALICE)).toThrow(UNKNOWN_PRODUCER);
  });

  it('that were never given out are refused, whatever the number', () => {
    const refused = [0, 1, 2, 1000, 2 ** 33, 2 ** 40, Number.MAX_SAFE_INTEGER];
    for (const id of refused) expect(() => ids.check(batchFrom(id), BOB)).toThrow(UNKNOWN_PRODUCER);
  });

  it('that share a place in what is remembered do not pass for one another', () => {
    const [first, second] = [5, 5 + 8192].map((number) => batchFrom(ids.bind(number, ALICE)));
    for (const batch of [first!, second!, first!]) expect(() => ids.check(batch, ALICE)).not.toThrow();
    expect(() => ids.check(second!, BOB)).toThrow(UNKNOWN_PRODUCER);
    expect(() => ids.check(first!, BOB)).toThrow(UNKNOWN_PRODUCER);
  });

  it('are safe integers and differ for every number', () => {
    const numbers = Array.from({ length: 1000 }, (_, index) => index + 1);
    const bound = numbers.map((number) => ids.bind(number, ALICE));
    expect(bound.every(Number.isSafeInteger)).toBe(true);
    expect(new Set(bound).size).toBe(1000);
  });

  it('are refused once there are no more numbers', () => {
    expect(() => ids.bind(2 ** 33, ALICE)).toThrow(expect.objectContaining({ code: 'INTERNAL' }) as Error);
  });

  it.each([
    ['what is no batch', Buffer.alloc(20)],
    ['a batch with none', batchFrom(-1)],
  ])('are not looked for in %s', (_what, batch) => {
    expect(() => ids.check(batch, BOB)).not.toThrow();
  });
});
