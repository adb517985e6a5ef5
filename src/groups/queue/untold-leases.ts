import { SettlementKind } from '../../gen/sluice/client/v1/groups_pb.ts';
import type { GroupAnswerInit } from '../api.ts';
import type { QueueContext } from './queue-context.ts';

/** Which queue somebody has asked. */
interface AskedQueue {
  readonly topic: string;
  readonly group: string;
}

/** Has the leases of an answer released that nobody gets: the attempt does not count, and others have them at once. */
export function releaseUntold(
  context: Pick<QueueContext, 'releaseUntold'>,
  { topic, group }: AskedQueue,
  { batches = [] }: GroupAnswerInit<'receive'>,
): void {
  const kind = SettlementKind.RELEASE;
  const settlements = batches.flatMap(({ partition = 0, grant = 0n, leases = [] }) =>
    leases.map(({ first = 0n, end = 0n }) => ({ partition, grant, first, end, kind })),
  );
  if (settlements.length > 0) context.releaseUntold({ topic, group, settlements });
}
