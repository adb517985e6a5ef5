import type { Clock } from '../kernel/clock.ts';
import { RateLimit } from '../kernel/rate-limit.ts';
import type { LogFields, Logger } from '../telemetry/logger.ts';

/** Records of one event in a burst, and per second after that. */
const BURST = 100;
const PER_SECOND = 10;
/** How often it is said what was left out, milliseconds. */
const SUMMARY_MS = 10_000;

interface Bound {
  readonly limit: RateLimit;
  leftOut: number;
}

/**
 * A log for what happens to partitions: when a node goes it happens to thousands of them at once. Each event has a rate; how many were left out is
 * told in `cluster.events_left_out`.
 */
export class LimitedLog implements Pick<Logger, 'debug' | 'info' | 'warn' | 'error'> {
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #bounds = new Map<string, Bound>();
  #summaryDue = false;

  constructor(log: Logger, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
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
    let bound = this.#bounds.get(evt);
    if (!bound) {
      bound = { limit: new RateLimit(this.#clock, PER_SECOND, BURST), leftOut: 0 };
      this.#bounds.set(evt, bound);
    }
    if (bound.limit.take()) return true;
    bound.leftOut += 1;
    this.#summarizeLater();
    return false;
  }

  #summarizeLater(): void {
    if (this.#summaryDue) return;
    this.#summaryDue = true;
    this.#clock.setTimer(SUMMARY_MS, () => {
      this.#summaryDue = false;
      const counts = [...this.#bounds].filter(([, { leftOut }]) => leftOut > 0);
      const left = Object.fromEntries(counts.map(([evt, { leftOut }]) => [evt, leftOut]));
      this.#log.warn('cluster.events_left_out', { events: left });
      for (const [, bound] of counts) bound.leftOut = 0;
    });
  }
}
