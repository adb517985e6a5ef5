import { FakeClock } from '../../support/fake-clock.ts';
import { FakeDisk } from '../../support/fake-disk.ts';
import { turns } from '../../support/turns.ts';
import { describePartitionLog } from '../partition-log-contract.ts';
import { KEEP_ALL, openDiskLog } from './open-disk-log.ts';
import { NO_STATE } from '../../../src/log/log-state.ts';

describePartitionLog('a disk log', () => {
  const clock = new FakeClock();
  const disk = new FakeDisk();
  return {
    clock,
    open: (limits, firstOffset = 0, state = NO_STATE) =>
      openDiskLog({
        disk,
        clock,
        firstOffset,
        settings: { ...KEEP_ALL, segmentBytes: 16 * 1024, ...limits },
        state,
      }),
    settle: async () => {
      for (let calls = -1; calls !== disk.calls.length;) {
        calls = disk.calls.length;
        await turns(3);
      }
    },
  };
});
