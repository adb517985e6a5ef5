import type { MessageInitShape } from '@bufbuild/protobuf';
import type { FailureSchema } from '../../gen/sluice/messages/v1/messages_pb.ts';
import { SluiceError } from '../../kernel/errors.ts';

/** Parts of one request. */
const PARTS_MAX = 10_000;

/** An error of one part of a request, as the response tells it. */
export function failureOf(error: SluiceError): MessageInitShape<typeof FailureSchema> {
  return { code: error.code, message: error.message, retryable: error.retryable };
}

/** @param what names the parts @throws INVALID_ARGUMENT unless there are 1 to 10,000 */
export function checkCount(count: number, what: string): void {
  if (count >= 1 && count <= PARTS_MAX) return;
  throw new SluiceError('INVALID_ARGUMENT', `${count} ${what} in one request; 1 to ${PARTS_MAX} are taken`);
}
