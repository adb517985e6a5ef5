import { SettlementKind } from '../../gen/sluice/client/v1/groups_pb.ts';
import type { GroupAnswerInit, GroupQuestionInit } from '../api.ts';

/** Which queue somebody has asked. */
interface AskedQueue {
  readonly topic: string;
  readonly group: string;
}

/**
 * Gives the leases of an answer back that nobody gets: the attempt does not count, and others have them at once.
 * @returns a question to whoever coordinates the queue; undefined: nothing was leased
 */
export function releaseOf(
  { topic, group }: AskedQueue,
  { batches = [] }: GroupAnswerInit<'receive'>,
): GroupQuestionInit<'settle'> | undefined {
  const kind = SettlementKind.RELEASE;
  const settlements = batches.flatMap(({ partition = 0, grant = 0n, leases = [] }) =>
    leases.map(({ first = 0n, end = 0n }) => ({ partition, grant, first, end, kind })),
  );
  return settlements.length === 0 ? undefined : { topic, group, settlements };
}
