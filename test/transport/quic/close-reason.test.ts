import { describe, expect, it } from 'vitest';
import { errorCodeFromWire } from '../../../src/kernel/errors.ts';
import { reasonOf } from '../../../src/transport/quic/close-reason.ts';
import type { NativeConnection } from '../../../src/transport/quic/native.ts';

function ended(how: { peer?: number; local?: number; timedOut?: boolean; app?: boolean }): NativeConnection {
  const error = (code: number | undefined) =>
    code === undefined ? null : { isApp: how.app === true, errorCode: code, reason: Buffer.from('why') };
  return {
    peerError: () => error(how.peer),
    localError: () => error(how.local),
    isTimedOut: () => how.timedOut === true,
  } as unknown as NativeConnection;
}

describe('reason of an ended connection', () => {
  it('is the code and text of the peer’s application', () => {
    expect(reasonOf(ended({ peer: 7, app: true }), true)).toEqual({
      errorCode: 7,
      reason: 'why',
      by: 'peer',
    });
  });

  it.each([
    ['an unknown authority', { local: 0x130 }, 'CERTIFICATE_REJECTED'],
    ['an expired certificate', { peer: 0x12d }, 'CERTIFICATE_REJECTED'],
    ['a missing certificate', { peer: 0x174 }, 'CERTIFICATE_REJECTED'],
    ['a signature that is wrong', { local: 0x133 }, 'CERTIFICATE_REJECTED'],
    ['another application protocol', { peer: 0x178 }, 'VERSION_MISMATCH'],
    ['a refusal', { peer: 2 }, 'CONNECT_FAILED'],
    ['silence', { timedOut: true }, 'TIMEOUT'],
    ['a stateless reset', {}, 'UNAVAILABLE'],
  ])('for %s is told as what it is', (_what, how, code) => {
    expect(errorCodeFromWire(reasonOf(ended(how), false).errorCode)).toBe(code);
  });

  it('for a violation of the protocol depends on whether there was a connection', () => {
    const codes = [true, false].map((ready) =>
      errorCodeFromWire(reasonOf(ended({ local: 10 }), ready).errorCode),
    );
    expect(codes).toEqual(['PROTOCOL_ERROR', 'CONNECT_FAILED']);
  });
});
