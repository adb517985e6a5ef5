import { beforeEach, expect, it } from 'vitest';
import type { SeenCopy } from './stored-copies.ts';
import { StoredCopies } from './stored-copies.ts';

const STATE = { leader: 'a', leaderEpoch: 3, isr: ['a', 'b'], replicas: ['a', 'b'] };
const LEADING: SeenCopy = { role: 'leader', leaderEpoch: 3, highWatermark: 28, logEnd: 28 };

let copies: Map<string, SeenCopy>;
let stored: StoredCopies;

beforeEach(() => {
  copies = new Map();
  stored = new StoredCopies(2, (nodeId, topicId, partition) =>
    copies.get(`${nodeId} ${topicId}/${partition}`),
  );
});

it('what its leader shows to the end can be read', () => {
  stored.changed('t', 0, STATE);
  stored.changed('t', 1, { ...STATE, leader: 'b' });
  copies.set('a t/0', LEADING);
  expect(stored.isReadable).toBe(false);
  copies.set('b t/1', LEADING);
  expect(stored.isReadable).toBe(true);
});

it.each<[string, SeenCopy | undefined]>([
  ['does not lead yet', { ...LEADING, role: 'idle' }],
  ['led before, in another epoch', { ...LEADING, leaderEpoch: 2 }],
  ['does not know yet what is in sync', { ...LEADING, highWatermark: 27 }],
  ['is starting', undefined],
])('nothing can be read of a leader that %s', (_, copy) => {
  stored.changed('t', 0, STATE);
  if (copy) copies.set('a t/0', copy);
  expect(stored.isReadable).toBe(false);
});

it('nothing can be read where nobody is to lead, whoever still does', () => {
  stored.changed('t', 0, { ...STATE, leader: null });
  copies.set('a t/0', LEADING);
  expect(stored.isReadable).toBe(false);
});
