import { describe, expect, it } from 'vitest';
import { LimitedLog } from '../../src/node/limited-log.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { EventLog } from './event-log.ts';

describe('a log with bounds', () => {
  it('passes on what comes, at its level', () => {
    const log = new EventLog();
    const limited = new LimitedLog(log, new FakeClock());
    for (const level of ['debug', 'info', 'warn', 'error'] as const) limited[level](`a.${level}`, { n: 1 });
    expect(log.lines).toEqual(
      ['debug', 'info', 'warn', 'error'].map((level) => `${level} a.${level} {"n":1}`),
    );
  });

  it('leaves out an event that comes too often, and says later how many', () => {
    const log = new EventLog();
    const clock = new FakeClock();
    const limited = new LimitedLog(log, clock);
    for (let n = 0; n < 130; n++) limited.info('much');
    limited.info('little');
    expect(log.written).toHaveLength(101);
    expect(log.lines.at(-1)).toBe('info little {}');
    clock.advance(10_000);
    expect(log.lines.at(-1)).toBe('warn cluster.events_left_out {"events":{"much":30}}');
    limited.info('much');
    clock.advance(10_000);
    expect(log.written).toHaveLength(103);
  });
});
