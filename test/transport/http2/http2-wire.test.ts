import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ERRORS } from '../../../src/kernel/errors.ts';
import {
  decodeGoaway,
  encodeGoaway,
  fromResetCode,
  parseNumber,
  toResetCode,
} from '../../../src/transport/http2/http2-wire.ts';

describe('http2 codes', () => {
  it('carries an error code above HTTP/2’s own', () => {
    expect([toResetCode(7), fromResetCode(toResetCode(7))]).toEqual([0x1_0007, 7]);
  });

  it('has an error of ours for HTTP/2’s own codes', () => {
    expect([0, 7, 8, 11, 1].map(fromResetCode)).toEqual([
      ERRORS.CLOSED.wire,
      ERRORS.TOO_MANY_STREAMS.wire,
      ERRORS.CANCELLED.wire,
      ERRORS.OVERLOADED.wire,
      ERRORS.PROTOCOL_ERROR.wire,
    ]);
  });

  it('carries code and reason of a close', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffff }), fc.string({ maxLength: 200 }), (errorCode, reason) => {
        expect(decodeGoaway(encodeGoaway(errorCode, reason))).toEqual({
          errorCode,
          reason: reason.toWellFormed(),
        });
      }),
    );
  });

  it('takes any opaque data without failing', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 20 }), (data) => {
        expect(decodeGoaway(data).errorCode).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  it('reads only plain numbers within their bound from headers', () => {
    expect(['12', '13', '-1', '1e1', '', undefined, ['1']].map((header) => parseNumber(header, 12))).toEqual([
      12,
      ...Array.from({ length: 6 }, () => undefined),
    ]);
  });
});
