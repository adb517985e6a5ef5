import { expect, it } from 'vitest';
import { CountedParts } from '../../src/groups/counted.ts';

it('totals stay when a part ends, and what goes up and down goes with it', () => {
  const counted = new CountedParts(['members']);
  counted.end({ members: 3, commits: 10 });
  counted.end({ members: 1, commits: 5 });
  expect(counted.sum([{ members: 2, commits: 1 }, { members: 4 }])).toEqual({
    now: { members: 6 },
    totals: { commits: 16 },
  });
});
