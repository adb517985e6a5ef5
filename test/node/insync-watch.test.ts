import { beforeEach, describe, expect, it } from 'vitest';
import type { PartitionChange, PartitionState } from '../../src/coordination/cluster.ts';
import { InsyncWatch } from '../../src/node/insync-watch.ts';
import { EventLog } from './event-log.ts';

const entryOf = (isr: readonly string[], leader: PartitionState['leader'] = 'a', revision = 1) => ({
  ...{ topicId: 't1', partition: 0, revision },
  state: { replicas: ['a', 'b', 'c'], leader, leaderEpoch: 1, isr },
});

describe('who leaves the in-sync replicas and who comes back', () => {
  let log: EventLog;
  let watch: InsyncWatch;
  let tell: (change: PartitionChange) => void;
  let watchers: number;
  const update = (...change: Parameters<typeof entryOf>) =>
    tell({ kind: 'updated', entry: entryOf(...change) });

  beforeEach(() => {
    log = new EventLog();
    watchers = 1;
    const cluster = {
      partitionStates: () => [entryOf(['a', 'b', 'c'])],
      watchPartitions: (listener: (change: PartitionChange) => void) => {
        tell = listener;
        return () => void (watchers -= 1);
      },
    };
    watch = new InsyncWatch('a', cluster, log, () => 'orders');
  });

  it('is counted and in the log, of partitions that this node leads', () => {
    update(['a', 'b']);
    update(['a', 'b', 'c']);
    const place = '"topic":"orders","topicId":"t1","partition":0';
    expect(log.lines).toEqual([
      `warn isr.shrunk {${place},"isr":["a","b"],"left":["c"]}`,
      `info isr.expanded {${place},"isr":["a","b","c"],"joined":["c"]}`,
    ]);
    expect([watch.shrinks, watch.expands]).toEqual([1, 1]);
  });

  it('is not told of what others lead, nor of what stays', () => {
    update(['b', 'c'], 'b');
    update(['b', 'c'], 'a');
    expect([watch.shrinks, watch.expands, ...log.lines]).toEqual([0, 0]);
  });

  it('begins anew with a partition that was removed', () => {
    tell({ kind: 'removed', entry: entryOf(['a', 'b', 'c']) });
    update(['a']);
    expect(watch.shrinks).toBe(0);
  });

  it('ends when it is disposed of', () => {
    watch[Symbol.dispose]();
    expect(watchers).toBe(0);
  });
});
