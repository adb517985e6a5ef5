import fc from 'fast-check';
import { expect, it } from 'vitest';
import { LotHeap } from '../../../src/groups/queue/lot-heap.ts';
import { Lot } from '../../../src/groups/queue/lot.ts';

it('has the least of its lots first, whichever came, went or changed', () => {
  const order = fc.nat(1000);
  const step = fc.record({
    what: fc.constantFrom('push', 'push', 'remove', 'reorder'),
    order,
    pick: fc.nat(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200, size: 'max' }), (steps) => {
      const heap = new LotHeap();
      const lots: Lot[] = [];
      for (const { what, order, pick } of steps) {
        const index = pick % Math.max(1, lots.length);
        const lot = lots[index];
        if (what === 'push' || !lot) {
          const added = new Lot(lots.length, lots.length + 1);
          lots.push(added);
          heap.push(added, order);
        } else if (what === 'remove') {
          lots.splice(index, 1);
          heap.remove(lot);
        } else {
          heap.reorder(lot, order);
        }
        expect(heap.first?.order).toBe(
          lots.length === 0 ? undefined : Math.min(...lots.map((each) => each.order)),
        );
      }
    }),
    { numRuns: 200 },
  );
});
