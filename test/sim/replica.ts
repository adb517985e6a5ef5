import type { Partition } from '../../src/partition/partition.ts';
import type { WatchedLog } from './watched-log.ts';

/** One partition's copy in one process, as the checker looks at it. */
export interface SimReplica {
  readonly nodeId: string;
  /** Of the machine, to tell apart what was before a restart. */
  readonly process: number;
  readonly partition: number;
  readonly object: Partition;
  readonly log: WatchedLog;
}

export function nameOf({ nodeId, process, partition }: SimReplica): string {
  return `${nodeId}.${process}/p${partition}`;
}
