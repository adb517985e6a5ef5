import type { MessageInitShape } from '@bufbuild/protobuf';
import type { LeasedBatch, SettlementSchema } from '../gen/sluice/client/v1/groups_pb.ts';
import { SettlementKind } from '../gen/sluice/client/v1/groups_pb.ts';
import { asSluiceError } from '../kernel/errors.ts';

/**
 * Settlements for the leased records of a batch that cannot be read. They become dead letters: given back, they would come again without end, and
 * keep others from coming.
 *
 * @param from offset; those below it were read
 * @param error why it cannot be read
 */
export function rejectUnreadable(
  { partition, grant, leases }: Pick<LeasedBatch, 'partition' | 'grant' | 'leases'>,
  from: number,
  error: unknown,
): MessageInitShape<typeof SettlementSchema>[] {
  const { code, message } = asSluiceError(error);
  const reason = `The record cannot be read: ${code}: ${message}`;
  return leases
    .filter(({ end }) => end > from)
    .map(({ first, end }) => ({
      ...{ partition, grant, end, kind: SettlementKind.REJECT, reason },
      first: first < from ? BigInt(from) : first,
    }));
}
