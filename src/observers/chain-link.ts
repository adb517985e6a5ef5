import type { Clock } from '../kernel/clock.ts';

/** A copy that has heard nothing of a replica for so long, or has been behind it, feeds no other, milliseconds. A replica answers at least every half second. */
const RELAYS_MS = 2000;

/**
 * What a copy is in the chain that feeds a zone: fed by a replica, and a relay to others while it keeps pace; or fed by such a relay, and none itself.
 */
export class ChainLink {
  readonly #clock: Clock;
  #isChained = false;
  /** When a replica has answered last; undefined: a relay was asked since then, or nothing was heard. */
  #directMs: number | undefined;
  /** When the copy last had all that its source had; when it began, before that. */
  #caughtUpMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#caughtUpMs = clock.monotonicMs();
  }

  /** It is fed by another observer. */
  get isChained(): boolean {
    return this.#isChained;
  }

  /** It is fed by a replica itself, now, and keeps pace with it. */
  get isRelay(): boolean {
    const directMs = this.#directMs;
    if (directMs === undefined) return false;
    return this.#clock.monotonicMs() - Math.min(directMs, this.#caughtUpMs) <= RELAYS_MS;
  }

  /** Milliseconds since the copy had, as far as it was told, all there is. */
  get behindMs(): number {
    return this.#clock.monotonicMs() - this.#caughtUpMs;
  }

  /** A relay is asked. Until it has answered that one could come to be fed by this copy, and both would wait for each other: so this is none from now on. */
  asksRelay(): void {
    this.#directMs = undefined;
  }

  /** Who feeds the copy has answered. */
  answered(isRelay: boolean): void {
    this.#isChained = isRelay;
    this.#directMs = isRelay ? undefined : this.#clock.monotonicMs();
  }

  /** The copy has all that its source has. */
  caughtUp(): void {
    this.#caughtUpMs = this.#clock.monotonicMs();
  }
}
