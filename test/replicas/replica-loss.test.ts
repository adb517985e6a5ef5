import { expect, it } from 'vitest';
import type { Coordinator } from '../../src/coordination/coordinator.ts';
import type { LosingReplica } from '../../src/replicas/replica-loss.ts';
import { ReplicaLoss } from '../../src/replicas/replica-loss.ts';

it('cuts a log at a gap once: what was fetched behind it stays at the next loss, which leaves no gap', async () => {
  let lostFrom = 5;
  const partition = {
    ...{ role: 'idle', isr: [], logStart: 0, logEnd: 9, resetTo: () => undefined },
    truncateTo: (offset: number) => {
      partition.logEnd = offset;
      lostFrom = Infinity;
    },
  } as LosingReplica['partition'] & { logEnd: number };
  const replica: LosingReplica = {
    partition,
    roles: { isComplete: false, unfollow: () => Promise.resolve() },
    lostFrom: () => lostFrom,
  };
  const loss = new ReplicaLoss({} as Coordinator);
  loss.note();
  await loss.cut(replica);
  expect(partition.logEnd).toBe(5);
  partition.logEnd = 20;
  loss.note();
  await loss.cut(replica);
  expect(partition.logEnd).toBe(20);
});
