import { describe, expect, it } from 'vitest';
import { SluiceError } from '../../src/kernel/errors.ts';
import type { Logger, LoggerOptions } from '../../src/telemetry/logger.ts';
import { createLogger } from '../../src/telemetry/logger.ts';

/** What one call writes. */
function written(write: (logger: Logger) => void, options: Partial<LoggerOptions> = {}): string {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  write(createLogger({ level: 'info', format: 'json', destination, ...options }));
  return lines.join('');
}

function record(
  write: (logger: Logger) => void,
  options: Partial<LoggerOptions> = {},
): Record<string, unknown> {
  return JSON.parse(written(write, options)) as Record<string, unknown>;
}

describe('logger', () => {
  it('writes level and event with the fields', () => {
    const line = record((logger) => logger.info('node.started', { port: 7450 }), { fields: { node: 'a' } });
    expect(line).toMatchObject({ level: 'info', evt: 'node.started', port: 7450, node: 'a' });
  });

  it('writes nothing below its level', () => {
    expect(written((logger) => logger.debug('node.detail'))).toBe('');
  });

  it('writes no secret, however it got into the fields', () => {
    const line = written((logger) =>
      logger.info('x', { token: 'hunter2', request: { authorization: 'hunter2' } }),
    );
    expect(line).not.toContain('hunter2');
  });

  it('writes code and causes of an error', () => {
    const error = new SluiceError('STORAGE_FAILED', 'cannot write', { cause: new Error('EIO') });
    const line = record((logger) => logger.error('log.failed', { error }));
    expect(line['error']).toMatchObject({
      code: 'STORAGE_FAILED',
      message: 'cannot write',
      cause: { message: 'EIO' },
    });
  });

  it('writes text for people on request', () => {
    const line = written((logger) => logger.child({ node: 'a' }).warn('node.slow', { lagMs: 5 }), {
      format: 'text',
    });
    expect(line).toMatch(/^\d\d:\d\d:\d\d\.\d{3} warn {2}node\.slow node=a lagMs=5\n$/);
  });

  it('lets no value forge a line of text', () => {
    const line = written((logger) => logger.info('x', { topic: 'a\nb level=fatal' }), { format: 'text' });
    expect(line.trimEnd().split('\n')).toHaveLength(1);
  });
});
