import type { ErrorCode } from '../../kernel/errors.ts';
import { StreamCounters } from './streams/stream-counters.ts';

/** What the gateway has counted since it started: plain fields, read when metrics are scraped. */
export class HttpCounters {
  requests = 0;
  /** Answers that were errors, by code. */
  readonly errors = new Map<ErrorCode, number>();
  readonly streams = new StreamCounters();

  countError(code: ErrorCode): void {
    this.errors.set(code, (this.errors.get(code) ?? 0) + 1);
  }
}
