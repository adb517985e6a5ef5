import type { ErrorCode } from '../../../kernel/errors.ts';

/** What streams count. Plain fields: metrics read them on scrape. */
export class StreamCounters {
  /** Open now. */
  sockets = 0;
  eventStreams = 0;
  /** Handed to clients since the start. */
  records = 0;
  /** Characters of JSON, about its bytes. */
  bytes = 0;
  /** Refused before they were open. */
  refused = 0;
  /** Ended by this node, by code. */
  readonly ended = new Map<ErrorCode, number>();

  countEnded(code: ErrorCode): void {
    this.ended.set(code, (this.ended.get(code) ?? 0) + 1);
  }
}
