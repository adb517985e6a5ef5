import { Metadata, status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../../src/kernel/errors.ts';
import { ERRORS, SluiceError } from '../../../src/kernel/errors.ts';
import { errorFromCall, errorFromStatus, errorToStatus } from '../../../src/transport/grpc/grpc-error.ts';

const codes = Object.keys(ERRORS) as ErrorCode[];
const sent = (error: unknown) => {
  const { code, details = '', metadata } = errorToStatus(error);
  return errorFromStatus({ code: code!, details, metadata });
};

describe('errors of calls', () => {
  it.each(codes)('come back as they were: %s', (code) => {
    expect(sent(new SluiceError(code, 'why'))).toMatchObject({ code, message: 'why' });
  });

  it.each(codes)('have the status of the table: %s', (code) => {
    expect(errorToStatus(new SluiceError(code, '')).code).toBe(ERRORS[code].grpc);
  });

  it('that are none of ours are INTERNAL and do not say what happened', () => {
    expect(sent(new Error('secret'))).toMatchObject({ code: 'INTERNAL' });
    expect(sent(new Error('secret'))?.message).not.toContain('secret');
  });

  it('are cut where they do not fit a trailer', () => {
    expect(sent(new SluiceError('INTERNAL', 'x'.repeat(100_000)))?.message.length).toBeLessThan(2_000);
  });

  it('that are cut in the middle of a character are text that grpc-js can send', () => {
    for (const text of ['\u{1f600}'.repeat(1_000), `x${'\u{1f600}'.repeat(1_000)}`, 'x\ud83d']) {
      expect(() => encodeURI(errorToStatus(new SluiceError('INTERNAL', text)).details!)).not.toThrow();
    }
  });

  it.each<[status, ErrorCode]>([
    [status.UNAVAILABLE, 'UNAVAILABLE'],
    [status.DEADLINE_EXCEEDED, 'TIMEOUT'],
    [status.RESOURCE_EXHAUSTED, 'OVERLOADED'],
    [status.UNIMPLEMENTED, 'UNSUPPORTED'],
    [status.UNAUTHENTICATED, 'UNAUTHENTICATED'],
    [status.DATA_LOSS, 'INTERNAL'],
  ])('of gRPC itself have a code: status %i is %s', (code, expected) => {
    expect(errorFromStatus({ code, details: '', metadata: new Metadata() })?.code).toBe(expected);
  });

  it('with a code of a newer version have the one of their status', () => {
    const metadata = new Metadata();
    metadata.set('sluice-error', 'toString');
    expect(errorFromStatus({ code: status.UNAVAILABLE, details: '', metadata })?.code).toBe('UNAVAILABLE');
  });

  it('are none when the call ended well', () => {
    expect(errorFromStatus({ code: status.OK, details: '', metadata: new Metadata() })).toBeUndefined();
  });

  it('thrown by a call are one of ours in any case', () => {
    expect(errorFromCall(new TypeError('x'))).toMatchObject({ code: 'INTERNAL' });
    expect(errorFromCall(null)).toMatchObject({ code: 'INTERNAL' });
  });
});
