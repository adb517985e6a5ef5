import { NO_STATE } from '../../src/log/log-state.ts';
import { MemoryBudget } from '../../src/log/memory-budget.ts';
import { MemoryLog } from '../../src/log/memory-log.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { describePartitionLog } from './partition-log-contract.ts';

describePartitionLog('a memory log', () => {
  const clock = new FakeClock();
  return {
    clock,
    open: (limits, firstOffset = 0, state = NO_STATE) =>
      Promise.resolve(
        new MemoryLog({
          clock,
          firstOffset,
          state,
          limits: { retentionBytes: 0, retentionMs: 0, retentionRecords: 0, ...limits },
          budget: new MemoryBudget(Infinity),
        }),
      ),
    settle: () => Promise.resolve(),
  };
});
