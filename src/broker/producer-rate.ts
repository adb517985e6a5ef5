import type { Clock } from '../kernel/clock.ts';
import { SluiceError } from '../kernel/errors.ts';
import { RateLimit } from '../kernel/rate-limit.ts';
import type { Principal } from './ports.ts';

/** Producer ids that a principal gets at once after a quiet time: as many clients may start at the same moment. */
const BURST = 2000;
/** And per second after that. So one principal at one node needs more than a year to use up the ids of a cluster. */
const PER_SECOND = 200;
/** Principals that are remembered; beyond that the one that has asked longest ago is forgotten. */
const MAX_PRINCIPALS = 4096;

/** Bounds how many producer ids a principal takes from this node: a cluster has a finite number of them, and each block costs it a write. */
export class ProducerRate {
  readonly #clock: Clock;
  /** Who has asked last is the last. */
  readonly #limits = new Map<string, RateLimit>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A principal takes one more. @throws OVERLOADED when that is too many for now */
  take({ name }: Pick<Principal, 'name'>): void {
    const limit = this.#limits.get(name) ?? new RateLimit(this.#clock, PER_SECOND, BURST);
    this.#limits.delete(name);
    this.#limits.set(name, limit);
    if (this.#limits.size > MAX_PRINCIPALS) this.#forgetOldest();
    if (limit.take()) return;
    throw new SluiceError(
      'OVERLOADED',
      `${name} takes more than ${PER_SECOND} producer ids per second; keep one per producer, for as long as it lives`,
    );
  }

  #forgetOldest(): void {
    for (const name of this.#limits.keys()) {
      this.#limits.delete(name);
      return;
    }
  }
}
