import { describe, expect, it } from 'vitest';
import { exitCodeFor } from '../../src/cli/exit-codes.ts';
import { describeFailure } from '../../src/cli/failure.ts';
import { SluiceError } from '../../src/kernel/errors.ts';
import type { ErrorCode } from '../../src/kernel/errors.ts';

describe('describeFailure', () => {
  it('says code, what happened and what to do next on one line', () => {
    expect(describeFailure(new SluiceError('TOPIC_NOT_FOUND', "there is no topic\n 'a'")).line).toBe(
      "sluice: TOPIC_NOT_FOUND: there is no topic; 'a'. See what exists with: sluice topic list",
    );
  });

  it('ends what happened with a full stop also behind a bracket', () => {
    expect(describeFailure(new SluiceError('CONNECT_FAILED', 'nothing listens at a:1 (UDP)')).line).toBe(
      'sluice: CONNECT_FAILED: nothing listens at a:1 (UDP). Is a node running there? Start one with: sluice serve',
    );
  });

  it('takes what is not ours for INTERNAL', () => {
    expect(describeFailure(new Error('boom'))).toEqual({ exitCode: 1, line: 'sluice: INTERNAL: boom.' });
  });
});

describe('exitCodeFor', () => {
  it.each<[ErrorCode, number]>([
    ['INTERNAL', 1],
    ['STORAGE_FULL', 1],
    ['INVALID_ARGUMENT', 2],
    ['INVALID_FILTER', 2],
    ['INVALID_CONFIG', 2],
    ['CONNECT_FAILED', 3],
    ['DRAINING', 3],
    ['UNAUTHENTICATED', 4],
    ['FORBIDDEN', 4],
    ['CERTIFICATE_REJECTED', 4],
    ['TOPIC_NOT_FOUND', 5],
    ['TOKEN_NOT_FOUND', 5],
    ['OFFSET_OUT_OF_RANGE', 5],
    ['TIMEOUT', 6],
    ['GAP', 6],
    ['CORRUPT_LOG', 7],
    ['TOPIC_EXISTS', 8],
    ['CANCELLED', 130],
  ])('%s: %s', (code, exit) => {
    expect(exitCodeFor(code)).toBe(exit);
  });
});
