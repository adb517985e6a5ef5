import { SettlementKind } from '../../gen/sluice/client/v1/groups_pb.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { SluiceError } from '../../kernel/errors.ts';
import { asSluiceError } from '../../kernel/errors.ts';
import type { AskGroup } from '../group-requests.ts';
import { resultError } from '../group-requests.ts';
import type { Lease, PendingRange, Settling } from './lease.ts';

/** Records that could not be settled: their lease is not this consumer's any more, or nobody answered. */
export interface UnsettledEvent {
  readonly partition: number;
  /** First offset; among those of the range may be some that were settled. */
  readonly first: number;
  /** Exclusive. */
  readonly end: number;
  readonly error: SluiceError;
}

/** Where settlements go. */
export interface SettlementTarget {
  readonly topic: string;
  readonly group: string;
  readonly ask: AskGroup;
  readonly clock: Clock;
  unsettled(event: UnsettledEvent): void;
  /** Fewer are unconfirmed than before. */
  answered(): void;
}

/** Ranges that are neighbours and go as one. */
interface Merged extends Settling {
  readonly lease: Lease;
  readonly first: number;
  end: number;
  readonly ranges: PendingRange[];
}

/** A request is at most 1 MiB, a reason at most 1 KiB of it. */
const MAX_RANGES = 900;
/** Extending comes before what ends a lease. */
const ORDER: Partial<Record<SettlementKind, number>> = { [SettlementKind.EXTEND]: -1 };

/**
 * Settles records: neighbours of one lease become a range, what is settled in one turn of the event loop is one request, one request is on its
 * way at a time, and what comes meanwhile gathers for the next. So single acknowledgements cost next to nothing.
 */
export class Settlements {
  readonly #target: SettlementTarget;
  #gathering: PendingRange[] = [];
  #running: Promise<void> | undefined;
  #turnEnd: NodeJS.Immediate | undefined;
  #unconfirmed = 0;

  constructor(target: SettlementTarget) {
    this.#target = target;
  }

  /** Records whose settlement is not answered. */
  get unconfirmed(): number {
    return this.#unconfirmed;
  }

  /**
   * Settles [first, end) of a lease.
   * @returns resolves when it is stored. It may be left alone: a rejection that nobody waits for is told as `unsettled` only
   * @throws LEASE_EXPIRED when the lease of one of a range that went together is over
   */
  add(lease: Lease, first: number, end: number, settling: Settling): Promise<void> {
    this.#unconfirmed += end - first;
    const open = lease.gathering;
    if (open !== undefined && isAlike(open, settling)) {
      if (open.end === first) {
        open.end = end;
        return open.done.promise;
      }
      if (open.first === end) {
        open.first = first;
        return open.done.promise;
      }
    }
    const range: PendingRange = { ...settling, lease, first, end, done: Promise.withResolvers() };
    range.done.promise.catch(() => undefined);
    lease.gathering = range;
    this.#gathering.push(range);
    if (this.#running === undefined) this.#turnEnd ??= setImmediate(() => this.flush());
    return range.done.promise;
  }

  /** Sends what gathers now, unless a request is on its way: what is asked after it reaches the broker after it. */
  flush(): void {
    clearImmediate(this.#turnEnd);
    this.#turnEnd = undefined;
    if (this.#gathering.length > 0) this.#running ??= this.#run();
  }

  /** Resolves when everything is answered. */
  async idle(): Promise<void> {
    this.flush();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#gathering.length > 0) {
      const ranges = this.#gathering.splice(0, MAX_RANGES);
      for (const range of ranges) {
        if (range.lease.gathering === range) range.lease.gathering = undefined;
      }
      await this.#send(merge(ranges));
      this.#target.answered();
    }
    this.#running = undefined;
  }

  async #send(parts: readonly Merged[]): Promise<void> {
    const { topic, group, ask } = this.#target;
    const settlements = parts.map(({ lease, first, end, kind, delayMs, reason }) => ({
      partition: lease.partition,
      grant: lease.grant,
      first: BigInt(first),
      end: BigInt(end),
      kind,
      ...(delayMs === undefined ? {} : { delayMs }),
      reason,
    }));
    let repeated = false;
    const onAgain = (): void => void (repeated = true);
    try {
      const { results } = await ask('settle', { topic, group, settlements }, { onAgain });
      parts.forEach((part, index) => {
        const result = results[index];
        const error = result === undefined ? undefined : resultError(result);
        this.#settled(part, this.#isOurOwn(part, error, repeated) ? undefined : error);
      });
    } catch (error) {
      for (const part of parts) this.#settled(part, asSluiceError(error));
    }
  }

  /**
   * When an answer was lost and the lease cannot be over yet, it was this very request that ended it the first time.
   */
  #isOurOwn(part: Merged, error: SluiceError | undefined, repeated: boolean): boolean {
    return (
      repeated && error?.code === 'LEASE_EXPIRED' && this.#target.clock.monotonicMs() < part.lease.deadlineMs
    );
  }

  #settled({ lease, first, end, ranges }: Merged, error: SluiceError | undefined): void {
    this.#unconfirmed -= end - first;
    for (const { done } of ranges) {
      if (error === undefined) done.resolve(undefined);
      else done.reject(error);
    }
    if (error !== undefined) this.#target.unsettled({ partition: lease.partition, first, end, error });
  }
}

function isAlike(a: Settling, b: Settling): boolean {
  return a.kind === b.kind && a.delayMs === b.delayMs && a.reason === b.reason;
}

function merge(ranges: PendingRange[]): readonly Merged[] {
  if (ranges.length > 1) ranges.sort(compare);
  const merged: Merged[] = [];
  let last: Merged | undefined;
  for (const range of ranges) {
    if (last?.lease === range.lease && last.end === range.first && isAlike(last, range)) {
      last.end = range.end;
      last.ranges.push(range);
    } else {
      last = { ...range, ranges: [range] };
      merged.push(last);
    }
  }
  return merged;
}

function compare(a: PendingRange, b: PendingRange): number {
  if (a.lease !== b.lease) {
    return a.lease.partition - b.lease.partition || (a.lease.grant < b.lease.grant ? -1 : 1);
  }
  return (ORDER[a.kind] ?? 0) - (ORDER[b.kind] ?? 0) || a.first - b.first;
}
