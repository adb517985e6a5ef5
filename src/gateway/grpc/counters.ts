import type { ErrorCode } from '../../kernel/errors.ts';

/** What the gateway counts. Plain fields: metrics read them on scrape. */
export class GrpcCounters {
  /** Calls begun, by the name of their method; all that are none of ours are `other`. */
  readonly calls = new Map<string, number>();
  /** Calls of the message service that ended with an error, and parts of calls that did. */
  readonly errors = new Map<ErrorCode, number>();
  published = 0;
  /** Messages handed to consumers. */
  consumed = 0;
  /** Leases settled or extended. */
  settled = 0;

  countCall(method: string): void {
    this.calls.set(method, (this.calls.get(method) ?? 0) + 1);
  }

  countError(code: ErrorCode): void {
    this.errors.set(code, (this.errors.get(code) ?? 0) + 1);
  }
}
