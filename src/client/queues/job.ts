import { SettlementKind } from '../../gen/sluice/client/v1/groups_pb.ts';
import { asSluiceError, SluiceError } from '../../kernel/errors.ts';
import { encodeLeaseToken } from '../../wire/lease-token.ts';
import type { ReceivedRecord } from '../record.ts';
import { wholeMs } from '../whole-ms.ts';
import type { Lease, Settling } from './lease.ts';
import { checkLeaseMs } from './options.ts';

/** How a record that failed is delivered again. */
export interface NackOptions {
  /** Milliseconds until then. Default: the queue's backoff, which grows with each attempt. */
  readonly delayMs?: number;
  /** For people; in the dead letter when this was the last attempt. At most 1 KiB. */
  readonly reason?: string;
}

/** What a job needs of its queue. */
export interface JobOwner {
  /** Monotonic, milliseconds. */
  nowMs(): number;
  settle(job: Job, lease: Lease, settling: Settling): Promise<void>;
  extend(job: Job, lease: Lease, leaseMs: number | undefined): Promise<void>;
}

const ACK: Settling = { kind: SettlementKind.ACK, delayMs: undefined, reason: '' };
const RELEASE: Settling = { kind: SettlementKind.RELEASE, delayMs: undefined, reason: '' };
const REASON_MAX_BYTES = 1024;

/**
 * A record that is leased to this consumer: nobody else gets it until it is settled or the lease is over.
 *
 * Each way to settle it resolves when that is stored. Waiting for it is not necessary: acknowledgements that are not awaited go
 * together in few requests; what fails then is told by the queue's `unsettled` event.
 */
export class Job implements Disposable {
  readonly record: ReceivedRecord;
  /** 1 for the first delivery. */
  readonly attempt: number;
  readonly #lease: Lease;
  readonly #owner: JobOwner;
  #leaseEndsMs: number;
  #settled = false;

  constructor(record: ReceivedRecord, attempt: number, lease: Lease, owner: JobOwner) {
    this.record = record;
    this.attempt = attempt;
    this.#lease = lease;
    this.#owner = owner;
    this.#leaseEndsMs = lease.deadlineMs;
  }

  /** Names the lease, also for HTTP and gRPC. */
  get token(): string {
    const { partition, grant } = this.#lease;
    return encodeLeaseToken({ partition, grant: Number(grant), offset: this.record.offset });
  }

  /** Whether it was acknowledged, or given back in another way. */
  get settled(): boolean {
    return this.#settled;
  }

  /** How long the lease was when it was given, milliseconds. */
  get leaseMs(): number {
    return this.#lease.leaseMs;
  }

  /** How long it still is, milliseconds; 0: it is over. */
  get leaseLeftMs(): number {
    return Math.max(0, this.#leaseEndsMs - this.#owner.nowMs());
  }

  /** It is done. @throws LEASE_EXPIRED when it is somebody else's by now, or was settled before; TIMEOUT */
  ack(): Promise<void> {
    return this.#settle(ACK);
  }

  /** It failed: it is delivered again, or becomes a dead letter where this was the last attempt. @throws INVALID_ARGUMENT, and as {@link ack} */
  nack({ delayMs, reason = '' }: NackOptions = {}): Promise<void> {
    let wholeDelayMs: number | undefined;
    try {
      wholeDelayMs = delayMs === undefined ? undefined : wholeMs('delayMs', delayMs);
    } catch (error) {
      return Promise.reject(asSluiceError(error));
    }
    return this.#settle({ kind: SettlementKind.NACK, delayMs: wholeDelayMs, reason: cut(reason) });
  }

  /** It will never do: it becomes a dead letter, a moment later, whichever attempt it is. @throws as {@link ack} */
  reject(reason = ''): Promise<void> {
    return this.#settle({ kind: SettlementKind.REJECT, delayMs: undefined, reason: cut(reason) });
  }

  /** It was not begun: it is delivered again at once, and this attempt does not count. @throws as {@link ack} */
  release(): Promise<void> {
    return this.#settle(RELEASE);
  }

  /**
   * The lease ends that much later than now.
   *
   * @param leaseMs milliseconds, 10 ms to 12 hours. Default: the queue's lease time
   * @throws INVALID_ARGUMENT, and as {@link ack}
   */
  async extend(leaseMs?: number): Promise<void> {
    if (this.#settled) throw settledBefore(this);
    if (leaseMs !== undefined) checkLeaseMs(leaseMs);
    const fromMs = this.#owner.nowMs();
    await this.#owner.extend(this, this.#lease, leaseMs);
    this.#leaseEndsMs = fromMs + (leaseMs ?? this.leaseMs);
  }

  /** What was not settled has failed: {@link nack}. */
  [Symbol.dispose](): void {
    if (!this.#settled) void this.nack();
  }

  #settle(settling: Settling): Promise<void> {
    if (this.#settled) return Promise.reject(settledBefore(this));
    this.#settled = true;
    return this.#owner.settle(this, this.#lease, settling);
  }
}

function settledBefore({ record }: Job): SluiceError {
  const where = `${record.topic}/${record.partition} offset ${record.offset}`;
  return new SluiceError('LEASE_EXPIRED', `${where} was settled before`);
}

/** At most as many bytes as a reason may have. */
function cut(reason: string): string {
  if (Buffer.byteLength(reason) <= REASON_MAX_BYTES) return reason;
  return Buffer.from(reason)
    .subarray(0, REASON_MAX_BYTES - 3)
    .toString('utf8')
    .replace(/\uFFFD+$/, '');
}
