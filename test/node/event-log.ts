import type { LogFields, Logger } from '../../src/telemetry/logger.ts';

/** What was written into a log. */
export interface WrittenEvent {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly evt: string;
  readonly fields: LogFields;
}

/** Keeps what is written. */
export class EventLog implements Logger {
  readonly written: WrittenEvent[] = [];

  /** Level, name and fields of each event, in one line. */
  get lines(): string[] {
    return this.written.map(({ level, evt, fields }) => `${level} ${evt} ${JSON.stringify(fields)}`);
  }

  debug(evt: string, fields: LogFields = {}): void {
    this.written.push({ level: 'debug', evt, fields });
  }

  info(evt: string, fields: LogFields = {}): void {
    this.written.push({ level: 'info', evt, fields });
  }

  warn(evt: string, fields: LogFields = {}): void {
    this.written.push({ level: 'warn', evt, fields });
  }

  error(evt: string, fields: LogFields = {}): void {
    this.written.push({ level: 'error', evt, fields });
  }

  child(): Logger {
    return this;
  }
}
