import { describe, expect, it } from 'vitest';
import { ProducerOwners } from '../../src/broker/producer-owners.ts';
import type { Principal } from '../../src/security/principal.ts';
import { ANONYMOUS } from '../../src/security/principal.ts';
import { batchOf } from '../support/batch.ts';

const named = (name: string): Principal => ({ name, kind: 'token', admin: false, rights: [] });
const [ALICE, BOB] = [named('alice'), named('bob')];
const FORBIDDEN = expect.objectContaining({ code: 'FORBIDDEN' }) as Error;
const batchFrom = (producerId: number): Buffer =>
  batchOf([{ value: 'x' }], { producerId, producerEpoch: 0, baseSequence: 0 });

describe('producer ids', () => {
  const owners = new ProducerOwners();
  [ALICE, ALICE, BOB, ALICE, ANONYMOUS].forEach((principal, at) => owners.give(11 + at, principal));

  it.each([
    [11, ALICE],
    [12, ALICE],
    [13, BOB],
    [14, ALICE],
    [15, ANONYMOUS],
  ])('%i is taken from its principal, on whatever connection, and from nobody else', (id, owner) => {
    for (const principal of [ALICE, BOB, ANONYMOUS]) {
      const check = (): void => owners.check(batchFrom(id), { ...principal });
      if (principal.name === owner.name) expect(check).not.toThrow();
      else expect(check).toThrow(FORBIDDEN);
    }
  });

  it.each([
    ['given out before this process began', 10],
    ['never given out', 16],
    ['none', -1],
  ])("that were %s are nobody's", (_what, id) => {
    expect(() => owners.check(batchFrom(id), BOB)).not.toThrow();
  });

  it('are read beyond 2^32', () => {
    const late = new ProducerOwners();
    late.give(2 ** 40 + 5, ALICE);
    expect(() => late.check(batchFrom(2 ** 40 + 5), BOB)).toThrow(FORBIDDEN);
  });

  it('are not looked for in what is no batch', () => {
    expect(() => owners.check(Buffer.alloc(20), BOB)).not.toThrow();
  });
});
