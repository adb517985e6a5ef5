import { beforeEach, describe, expect, it } from 'vitest';
import { HeldReplication } from '../../src/node/held-replication.ts';
import type { FetchRequest } from '../../src/partition/replication.ts';
import { turns } from '../support/turns.ts';

describe('replication', () => {
  const request = (sequence: number): FetchRequest => ({
    ...{ sessionId: 0, sequence, received: -1, changed: [], forgotten: [], maxBytes: 1, maxWaitMs: 1 },
  });

  let asked: string[];
  let held: HeldReplication;
  beforeEach(() => {
    asked = [];
    held = new HeldReplication({
      fetch: (nodeId, { sequence }) => {
        asked.push(`${nodeId} ${sequence}`);
        return Promise.resolve({ sessionId: 1, sequence, partitions: [] });
      },
    });
  });

  it('waits until it begins, and asks in the order of the calls then', async () => {
    const answers = [held.fetch('n2', request(0)), held.fetch('n3', request(1))];
    await turns(5);
    expect(asked).toEqual([]);
    held.begin();
    held.begin();
    expect((await Promise.all(answers)).map(({ sequence }) => sequence)).toEqual([0, 1]);
    expect(asked).toEqual(['n2 0', 'n3 1']);
  });

  it('asks at once from there on', () => {
    held.begin();
    void held.fetch('n2', request(0));
    expect(asked).toEqual(['n2 0']);
  });
});
