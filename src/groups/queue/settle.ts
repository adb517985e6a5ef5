import type { Settlement } from '../../gen/sluice/client/v1/groups_pb.ts';
import { SettlementKind } from '../../gen/sluice/client/v1/groups_pb.ts';
import type { ErrorCode } from '../../kernel/errors.ts';
import { ERRORS } from '../../kernel/errors.ts';
import { FULL_TEXT } from './held-bound.ts';
import type { QueueContext, QueueCounters } from './queue-context.ts';
import type { Moment } from './queue-event.ts';
import type { QueuePartition } from './queue-partition.ts';
import type { QueueSettings } from './queue-settings.ts';
import { DELAY_MAX_MS, LEASE_MAX_MS } from './queue-settings.ts';

/** Of what a consumer says about a record, characters; the rest is cut. */
const REASON_MAX = 1024;

/** What one request may have looked at: offsets, and those that it had no lease of this many times. */
const WORK_MAX = 2 ** 20;
const IN_VAIN = 8;

/** What the settlements of one request have looked at so far. */
export class SettleWork {
  #left = WORK_MAX;

  /** Whether it was as much as a request may. No honest one comes near: it settles what it holds. */
  get isTooMuch(): boolean {
    return this.#left <= 0;
  }

  /** @param missing of the offsets, those that were not held */
  add(offsets: number, missing: number): void {
    this.#left -= offsets + missing * (IN_VAIN - 1);
  }
}

const KINDS: ReadonlySet<SettlementKind> = new Set([
  SettlementKind.ACK,
  SettlementKind.NACK,
  SettlementKind.REJECT,
  SettlementKind.EXTEND,
  SettlementKind.RELEASE,
]);

/** Why some leases could not be settled; no error, which would cost more than the settlement. */
export interface Unsettled {
  /** Wire number. */
  readonly errorCode: number;
  readonly errorMessage: string;
}

/**
 * Settles some leases.
 * @param work of the request
 * @returns undefined: all of them; LEASE_EXPIRED when one of the range was not held: the others are settled; INVALID_ARGUMENT; OVERLOADED:
 *   none, because the request has named too many that it does not hold, or because the state is as large as it, or all of the node, may be and would become larger
 */
export function settle(
  state: QueuePartition,
  settlement: Settlement,
  { leaseMs }: QueueSettings,
  now: Moment,
  { counters, stateBudget }: Pick<QueueContext, 'counters' | 'stateBudget'>,
  work: SettleWork,
): Unsettled | undefined {
  const grant = Number(settlement.grant);
  const first = Number(settlement.first);
  const end = Number(settlement.end);
  if (first >= end || !KINDS.has(settlement.kind)) {
    return unsettled('INVALID_ARGUMENT', `[${first}, ${end}) cannot be settled by ${settlement.kind}`);
  }
  // What lies outside is certainly not leased, however much that is.
  const from = Math.max(first, state.floor);
  const to = Math.min(end, state.cursor);
  let missing = end - first - Math.max(0, to - from);
  if (from < to) {
    if (work.isTooMuch)
      return unsettled('OVERLOADED', 'too many offsets in one request: settle what is leased');
    const isDone = settlement.kind === SettlementKind.ACK;
    const isFull = state.heldBytes >= (isDone ? stateBudget.cutMaxBytes : stateBudget.heldMaxBytes);
    if (isFull && state.settlingGrows(grant, from, to, isDone)) {
      work.add(to - from, 0);
      return unsettled('OVERLOADED', FULL_TEXT);
    }
    const inVain = settleHeld(state, settlement, { grant, from, to, leaseMs, now });
    work.add(to - from, inVain);
    missing += inVain;
  }
  count(counters, settlement.kind, end - first - missing);
  if (missing === 0) return undefined;
  counters.late++;
  return expired(
    `${missing} ${missing === 1 ? 'record is' : 'records are'} not leased by grant ${grant} any more`,
  );
}

/** The lease is over, or never was. */
export function expired(message: string): Unsettled {
  return unsettled('LEASE_EXPIRED', message);
}

function unsettled(code: ErrorCode, errorMessage: string): Unsettled {
  return { errorCode: ERRORS[code].wire, errorMessage };
}

interface Held {
  readonly grant: number;
  readonly from: number;
  readonly to: number;
  readonly leaseMs: number;
  readonly now: Moment;
}

/** @returns records that were not held */
function settleHeld(
  state: QueuePartition,
  { kind, delayMs, reason }: Settlement,
  { grant, from, to, leaseMs, now }: Held,
): number {
  const text = reason.slice(0, REASON_MAX);
  switch (kind) {
    case SettlementKind.ACK:
      return state.ack(grant, from, to);
    case SettlementKind.NACK:
      return state.nack(
        grant,
        from,
        to,
        now,
        delayMs === undefined ? undefined : Math.min(delayMs, DELAY_MAX_MS),
        text,
      );
    case SettlementKind.REJECT:
      return state.reject(grant, from, to, text);
    case SettlementKind.EXTEND:
      return state.extend(grant, from, to, Math.min((delayMs ?? 0) || leaseMs, LEASE_MAX_MS), now);
    case SettlementKind.RELEASE:
      return state.release(grant, from, to);
    default:
      return to - from;
  }
}

function count(counters: QueueCounters, kind: SettlementKind, records: number): void {
  switch (kind) {
    case SettlementKind.ACK:
      counters.acknowledged += records;
      return;
    case SettlementKind.NACK:
      counters.nacked += records;
      return;
    case SettlementKind.REJECT:
      counters.rejected += records;
      return;
    case SettlementKind.EXTEND:
      counters.extended += records;
      return;
    default:
      counters.released += records;
  }
}
