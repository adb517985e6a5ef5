import type { MessageInitShape } from '@bufbuild/protobuf';
import { SettlementKind } from '../../gen/sluice/client/v1/groups_pb.ts';
import type { SettleFailureSchema } from '../../gen/sluice/messages/v1/messages_pb.ts';
import { DEFAULT_QUEUE_GROUP } from '../../groups/api.ts';
import type { SluiceError } from '../../kernel/errors.ts';
import { asSluiceError } from '../../kernel/errors.ts';
import { decodeLeaseToken } from '../../wire/lease-token.ts';
import { checkCount, failureOf } from './failure.ts';
import { leaseKey } from './lease-ledger.ts';
import type { QueueRoute } from './lease-settler.ts';
import type { MessageContext } from './message-context.ts';
import type { Caller } from './ports.ts';

/** Of a reason, characters: it goes with each lease, and the queue keeps no more of it. */
const REASON_MAX = 1024;

/** A request that names a queue. */
interface NamesQueue {
  readonly topic: string;
  /** Empty: `default`. */
  readonly group: string;
}

/** A request about leases of a queue. */
export interface SettleQuestion extends NamesQueue {
  readonly leaseTokens: readonly string[];
}

/** What becomes of the leases. */
export interface Verdict {
  readonly kind: SettlementKind;
  readonly delayMs?: number | undefined;
  readonly reason?: string;
}

/** How leases were settled. */
export interface SettleAnswer {
  readonly failures: MessageInitShape<typeof SettleFailureSchema>[];
}

/** Group of a queue that may not be named. */
export function groupOf({ group }: NamesQueue): string {
  return group === '' ? DEFAULT_QUEUE_GROUP : group;
}

/** The queue of a request, as its caller. */
export function routeOf({ principal }: Caller, queue: NamesQueue): QueueRoute {
  return { principal, topic: queue.topic, group: groupOf(queue) };
}

/**
 * Settles leases.
 * @throws INVALID_ARGUMENT for none or too many; of a single lease why it could not be settled
 */
export async function settle(
  context: MessageContext,
  caller: Caller,
  request: SettleQuestion,
  verdict: Verdict,
): Promise<SettleAnswer> {
  const { leaseTokens } = request;
  checkCount(leaseTokens.length, 'lease tokens');
  const outcomes = await Promise.all(
    leaseTokens.map((token) => settleOne(context, routeOf(caller, request), token, verdict)),
  );
  if (outcomes.length === 1 && outcomes[0]) throw outcomes[0];
  const failures: SettleAnswer['failures'] = [];
  for (const [index, error] of outcomes.entries()) {
    if (!error) continue;
    context.counters.countError(error.code);
    failures.push({ leaseToken: leaseTokens[index]!, failure: failureOf(error) });
  }
  return { failures };
}

async function settleOne(
  { settler, ledger, counters }: MessageContext,
  route: QueueRoute,
  token: string,
  { kind, delayMs, reason: text = '' }: Verdict,
): Promise<SluiceError | undefined> {
  let failure: SluiceError | undefined;
  const reason = text.slice(0, REASON_MAX);
  try {
    failure = await settler.settle(route, { lease: decodeLeaseToken(token), kind, delayMs, reason });
  } catch (error) {
    return asSluiceError(error);
  }
  const isGone = !failure || failure.code === 'LEASE_EXPIRED';
  if (isGone && kind !== SettlementKind.EXTEND) ledger.settled(leaseKey(route.topic, route.group, token));
  if (!failure) counters.settled += 1;
  return failure;
}
