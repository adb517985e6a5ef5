import type { Clock } from '../kernel/clock.ts';
import { RateLimit } from '../kernel/rate-limit.ts';
import { LeftOut } from '../telemetry/left-out.ts';
import type { LogFields, Logger } from '../telemetry/logger.ts';

/** Records of one event in a burst, and per second after that. */
const BURST = 100;
const PER_SECOND = 10;

/**
 * A log for what happens to partitions: when a node goes it happens to thousands of them at once. Each event has a rate; how many were left out is
 * told in `cluster.events_left_out`.
 */
export class LimitedLog implements Pick<Logger, 'debug' | 'info' | 'warn' | 'error'> {
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #limits = new Map<string, RateLimit>();
  readonly #leftOut: LeftOut;

  constructor(log: Logger, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
    this.#leftOut = new LeftOut(clock, (events) => log.warn('cluster.events_left_out', { events }));
  }

  debug(evt: string, fields?: LogFields): void {
    if (this.#mayWrite(evt)) this.#log.debug(evt, fields);
  }

  info(evt: string, fields?: LogFields): void {
    if (this.#mayWrite(evt)) this.#log.info(evt, fields);
  }

  warn(evt: string, fields?: LogFields): void {
    if (this.#mayWrite(evt)) this.#log.warn(evt, fields);
  }

  error(evt: string, fields?: LogFields): void {
    if (this.#mayWrite(evt)) this.#log.error(evt, fields);
  }

  #mayWrite(evt: string): boolean {
    let limit = this.#limits.get(evt);
    if (!limit) {
      limit = new RateLimit(this.#clock, PER_SECOND, BURST);
      this.#limits.set(evt, limit);
    }
    if (limit.take()) return true;
    this.#leftOut.count(evt);
    return false;
  }
}
