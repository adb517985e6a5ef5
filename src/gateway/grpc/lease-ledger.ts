import type { Clock, Timer } from '../../kernel/clock.ts';

/** Credits of consuming calls: a lease counts against the one that brought it, until it is settled here or has run out. */
export class LeaseLedger {
  readonly #owners = new Map<string, LeaseCredit>();

  /** Leases counted. */
  get size(): number {
    return this.#owners.size;
  }

  add(lease: string, owner: LeaseCredit): void {
    this.#owners.set(lease, owner);
  }

  /** A lease was settled, by whatever call. */
  settled(lease: string): void {
    const owner = this.#owners.get(lease);
    if (!owner) return;
    this.#owners.delete(lease);
    owner.gone(lease);
  }

  forget(lease: string): void {
    this.#owners.delete(lease);
  }
}

/** Names a lease among those of all queues. */
export function leaseKey(topic: string, group: string, token: string): string {
  return `${topic}/${group}/${token}`;
}

/** How many leases one call may still have. */
export class LeaseCredit implements Disposable {
  readonly #limit: number;
  readonly #ledger: LeaseLedger;
  readonly #clock: Clock;
  /** Leases that count, and when they run out on the monotonic clock; soonest first, as they all last equally long. */
  readonly #open = new Map<string, number>();
  #timer: Timer | undefined;
  #wake: (() => void) | undefined;

  constructor(limit: number, ledger: LeaseLedger, clock: Clock) {
    this.#limit = limit;
    this.#ledger = ledger;
    this.#clock = clock;
  }

  /** A lease was handed out. @param leaseMs from now */
  take(lease: string, leaseMs: number): void {
    this.#open.set(lease, this.#clock.monotonicMs() + leaseMs);
    this.#ledger.add(lease, this);
  }

  /** A lease is no longer anybody's; for the ledger. */
  gone(lease: string): void {
    this.#open.delete(lease);
    this.#wake?.();
  }

  /**
   * Waits until there is room.
   * @param waitMs at most; Infinity: without end
   * @returns how many leases may come; 0: the time is over, or `signal` was aborted
   */
  async room(waitMs: number, signal: AbortSignal): Promise<number> {
    const untilMs = this.#clock.monotonicMs() + waitMs;
    for (;;) {
      this.#dropExpired();
      const room = this.#limit - this.#open.size;
      const leftMs = untilMs - this.#clock.monotonicMs();
      if (signal.aborted) return 0;
      if (room > 0 || leftMs <= 0) return Math.max(0, room);
      await this.#change(leftMs, signal);
    }
  }

  [Symbol.dispose](): void {
    for (const lease of this.#open.keys()) this.#ledger.forget(lease);
    this.#open.clear();
  }

  #change(leftMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const [soonestMs = Infinity] = this.#open.values();
      const delayMs = Math.min(leftMs, soonestMs - this.#clock.monotonicMs());
      const wake = (): void => {
        this.#timer?.cancel();
        this.#wake = undefined;
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#timer = this.#clock.setTimer(delayMs, wake);
      this.#wake = wake;
      signal.addEventListener('abort', wake);
    });
  }

  #dropExpired(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [lease, expiresMs] of this.#open) {
      if (expiresMs > nowMs) return;
      this.#open.delete(lease);
      this.#ledger.forget(lease);
    }
  }
}
