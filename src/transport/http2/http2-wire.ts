import { constants } from 'node:http2';
import { ERRORS } from '../../kernel/errors.ts';

/**
 * How the native protocol's streams are laid on HTTP/2 (docs/http2-transport.md). Every stream is one request:
 *
 *     :path                opened by   bytes flow in
 *     /sluice/1            client      – greeting: first request, tells the limits of both ends, stays open
 *     /sluice/1/bidi       client      request and response
 *     /sluice/1/uni        client      the request
 *     /sluice/1/parked     client      nothing until the server takes it for a stream that it opens itself; the response's
 *                                      `x-sluice-stream` says which kind that is
 */
export const PATHS = {
  greeting: '/sluice/1',
  bidi: '/sluice/1/bidi',
  uni: '/sluice/1/uni',
  parked: '/sluice/1/parked',
} as const;

/** Number of the stream, decimal; the same on both ends. */
export const ID_HEADER = 'x-sluice-id';
/** `bidi` or `uni`. */
export const KIND_HEADER = 'x-sluice-stream';
/** Streams of each kind that the sender of the header accepts at once. */
export const MAX_STREAMS_HEADER = 'x-sluice-max-streams';

/** Requests that a client keeps parked for the server. */
export const PARKED_REQUESTS = 16;
/** Parked requests that a server keeps; more are refused. */
export const MAX_PARKED_REQUESTS = 64;

export type StreamKind = 'bidi' | 'uni';

/**
 * RST_STREAM carries 32 bits. Sluice's codes go above HTTP/2's own, so that the two are never taken for each other.
 * @see RFC 9113 section 7
 */
const APPLICATION_CODES = 0x1_0000;

/** Code of a Sluice error in RST_STREAM. */
export function toResetCode(errorCode: number): number {
  return APPLICATION_CODES + errorCode;
}

/** The Sluice error that a code in RST_STREAM stands for. */
export function fromResetCode(resetCode: number): number {
  if (resetCode >= APPLICATION_CODES) return resetCode - APPLICATION_CODES;
  switch (resetCode) {
    case constants.NGHTTP2_NO_ERROR:
      return ERRORS.CLOSED.wire;
    case constants.NGHTTP2_CANCEL:
      return ERRORS.CANCELLED.wire;
    case constants.NGHTTP2_REFUSED_STREAM:
      return ERRORS.TOO_MANY_STREAMS.wire;
    case constants.NGHTTP2_ENHANCE_YOUR_CALM:
      return ERRORS.OVERLOADED.wire;
    default:
      return ERRORS.PROTOCOL_ERROR.wire;
  }
}

const MAX_REASON_BYTES = 1024;

/** Opaque data of GOAWAY: error code (u32, big endian), then the reason as UTF-8, cut at 1 KiB. */
export function encodeGoaway(errorCode: number, reason: string): Buffer {
  const text = Buffer.from(reason).subarray(0, MAX_REASON_BYTES);
  const data = Buffer.allocUnsafe(4 + text.byteLength);
  data.writeUInt32BE(errorCode, 0);
  text.copy(data, 4);
  return data;
}

/** What {@link encodeGoaway} wrote; a GOAWAY without it comes from something that is not Sluice: UNAVAILABLE. */
export function decodeGoaway(data: Uint8Array | undefined): {
  readonly errorCode: number;
  readonly reason: string;
} {
  if (!data || data.byteLength < 4)
    return { errorCode: ERRORS.UNAVAILABLE.wire, reason: 'the peer went away' };
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return { errorCode: bytes.readUInt32BE(0), reason: bytes.toString('utf8', 4, 4 + MAX_REASON_BYTES) };
}

/** A number in a header, at most `max`; undefined when it is none. */
export function parseNumber(header: unknown, max: number): number | undefined {
  if (typeof header !== 'string' || !/^\d{1,15}$/.test(header)) return undefined;
  const value = Number(header);
  return value <= max ? value : undefined;
}
