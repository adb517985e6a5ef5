import type { MessageInitShape } from '@bufbuild/protobuf';
import type { GroupRequest, GroupResponseSchema } from '../../../gen/sluice/client/v1/groups_pb.ts';
import type { GroupCase } from '../../../groups/api.ts';
import { SluiceError } from '../../../kernel/errors.ts';
import type { ClientSession, RequestChannel } from '../client-session.ts';
import type { RequestHandlers } from './handler.ts';

type Body = GroupRequest['body'];
type ResponseBody = NonNullable<MessageInitShape<typeof GroupResponseSchema>['body']>;

const KiB = 1024;
const MiB = 1024 * KiB;
/** Bytes of records that all answers on a connection may have together, more or less: whoever asks often gets less each time. */
const ANSWERS_MAX_BYTES = 64 * MiB;
/** Where a request does not say. */
const RECORDS_BYTES = MiB;
const RECORDS_LEAST_BYTES = 64 * KiB;
/** Besides the records of an answer. */
const AROUND_BYTES = 256 * KiB;

/** Requests about consumer groups and queues; which one it is, is inside. */
export const groupHandlers: RequestHandlers<'group'> = {
  async group(session, { body }, channel) {
    if (body.case === undefined) {
      throw new SluiceError(
        'UNSUPPORTED',
        'this broker does not know the request: it may be older than the client',
      );
    }
    const principal = session.requirePrincipal();
    const { groups } = session.context.broker;
    const { signal } = channel;
    const isForRecords = body.case === 'receive' || body.case === 'browseQueue';
    if (isForRecords) session.receives += 1;
    try {
      bound(body, session, channel);
      const value = await groups.ask<GroupCase>(principal, body.case, body.value, { signal });
      return { body: { case: body.case, value } as ResponseBody };
    } finally {
      if (isForRecords) session.receives -= 1;
    }
  },
};

/** The records of an answer have to fit where it goes, and the memory that a connection may have. */
function bound(
  body: Body,
  { receives }: ClientSession,
  { maxResponseBytes }: Pick<RequestChannel, 'maxResponseBytes'>,
): void {
  if (body.case !== 'receive' && body.case !== 'browseQueue') return;
  const share = Math.max(RECORDS_LEAST_BYTES, Math.floor(ANSWERS_MAX_BYTES / receives));
  const fits = Math.max(RECORDS_LEAST_BYTES, maxResponseBytes - AROUND_BYTES);
  body.value.maxBytes = Math.min(body.value.maxBytes || RECORDS_BYTES, share, fits);
}
