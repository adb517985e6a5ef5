import { promisify } from 'node:util';
import {
  constants,
  gunzip,
  gunzipSync,
  gzip,
  gzipSync,
  zstdCompress,
  zstdCompressSync,
  zstdDecompress,
  zstdDecompressSync,
} from 'node:zlib';
import type { ZstdOptions } from 'node:zlib';
import { SluiceError } from '../kernel/errors.ts';

/** Compression of a batch's records, by name, and its number in the attributes (bits 0–2), as in Kafka. */
export const CODECS = { none: 0, gzip: 1, zstd: 4 } as const;
export type Codec = keyof typeof CODECS;

/** What a batch may inflate to by default, bytes. */
export const INFLATED_MAX_BYTES = 16 * 1024 * 1024;

const CHUNK_BYTES = 64 * 1024;
/** Room for what a zstd frame says it holds is made at once up to here, and beyond in pieces: what it says may be a lie. */
const ANNOUNCED_MAX_BYTES = 1024 * 1024;
/** Batches repeat themselves so much that the fastest of the ordinary levels packs them as well as the default one, in two thirds of the time. */
const ZSTD_COMPRESSION: ZstdOptions = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };
/** A zstd frame may ask its reader for a window of up to 2 GiB; this much (8 MiB) is always granted, more only up to the bound. */
const ZSTD_WINDOW_LOG_MIN = 23;
const ZSTD_WINDOW_LOG_MAX = 27;
const ZSTD_MAGIC = 0xfd2f_b528;
/** Magic number, descriptor, and window or size. */
const ZSTD_HEADER_MIN_BYTES = 6;
const ZSTD_DICTIONARY_ID_BYTES = [0, 1, 2, 4] as const;
/** Node's own minimum. */
const CHUNK_MIN_BYTES = 64;

/** Name of the codec in a batch's attributes. @throws UNKNOWN_CODEC when it is not one of {@link CODECS} */
export function codecFromAttributes(attributes: number): Codec {
  switch (attributes & 7) {
    case CODECS.none:
      return 'none';
    case CODECS.gzip:
      return 'gzip';
    case CODECS.zstd:
      return 'zstd';
    default:
      throw new SluiceError(
        'UNKNOWN_CODEC',
        `codec ${attributes & 7} is not supported; use none, gzip or zstd`,
      );
  }
}

/**
 * Compresses the records of one batch.
 *
 * Synchronous on purpose: a batch is tens of kilobytes, which takes less time (70 µs per 64 KiB with zstd) than handing it to
 * the thread pool and back, and needs no copy and no queue.
 *
 * @returns a fresh buffer, or `bytes` itself for `none`
 */
export function compressRecords(codec: Codec, bytes: Buffer): Buffer {
  switch (codec) {
    case 'none':
      return bytes;
    case 'gzip':
      return gzipSync(bytes);
    case 'zstd':
      return zstdCompressSync(bytes, ZSTD_COMPRESSION);
  }
}

/**
 * Inflates the records of one batch; memory is bounded by `inflatedMaxBytes` whatever the bytes announce. Synchronous for the
 * reason given at {@link compressRecords}.
 *
 * @returns a fresh buffer, or `bytes` itself for `none`
 * @throws BATCH_TOO_LARGE when there is more than `inflatedMaxBytes`; CORRUPT_BATCH when the bytes are not one whole stream of
 *   the codec
 */
export function inflateRecords(codec: Codec, bytes: Buffer, inflatedMaxBytes: number): Buffer {
  if (codec === 'none') {
    if (bytes.length > inflatedMaxBytes) throw tooLarge(inflatedMaxBytes);
    return bytes;
  }
  try {
    if (codec === 'gzip') return gunzipSync(bytes, gzipOptions(inflatedMaxBytes));
    const result: unknown = zstdDecompressSync(bytes, zstdOptions(bytes, inflatedMaxBytes));
    return wholeFrame(result, bytes);
  } catch (error) {
    throw inflateError(error, codec, inflatedMaxBytes);
  }
}

/** {@link inflateRecords} on another thread, for work that is large and not urgent. @throws the same */
export async function inflateInBackground(
  codec: Codec,
  bytes: Buffer,
  inflatedMaxBytes: number,
): Promise<Buffer> {
  if (codec === 'none') return inflateRecords(codec, bytes, inflatedMaxBytes);
  try {
    if (codec === 'gzip') return await gunzipLater(bytes, gzipOptions(inflatedMaxBytes));
    const result: unknown = await zstdDecompressLater(bytes, zstdOptions(bytes, inflatedMaxBytes));
    return wholeFrame(result, bytes);
  } catch (error) {
    throw inflateError(error, codec, inflatedMaxBytes);
  }
}

/** {@link compressRecords} on another thread, for work that is large and not urgent. */
export async function compressInBackground(codec: Codec, bytes: Buffer): Promise<Buffer> {
  switch (codec) {
    case 'none':
      return bytes;
    case 'gzip':
      return gzipLater(bytes);
    case 'zstd':
      return zstdCompressLater(bytes, ZSTD_COMPRESSION);
  }
}

const gunzipLater = promisify<Buffer, object, Buffer>(gunzip);
const gzipLater = promisify<Buffer, Buffer>(gzip);
const zstdDecompressLater = promisify<Buffer, object, Buffer>(zstdDecompress);
const zstdCompressLater = promisify<Buffer, ZstdOptions, Buffer>(zstdCompress);

function gzipOptions(inflatedMaxBytes: number): { maxOutputLength: number; chunkSize: number } {
  return { maxOutputLength: inflatedMaxBytes, chunkSize: CHUNK_BYTES };
}

function zstdOptions(bytes: Buffer, inflatedMaxBytes: number): ZstdOptions {
  const windowLog = Math.ceil(Math.log2(inflatedMaxBytes));
  const announced = zstdContentBytes(bytes) ?? CHUNK_BYTES;
  return {
    maxOutputLength: inflatedMaxBytes,
    // One byte more than is needed: a piece that is full makes Node ask for another one.
    chunkSize: Math.max(CHUNK_MIN_BYTES, Math.min(announced, ANNOUNCED_MAX_BYTES) + 1),
    params: {
      [constants.ZSTD_d_windowLogMax]: Math.min(
        Math.max(windowLog, ZSTD_WINDOW_LOG_MIN),
        ZSTD_WINDOW_LOG_MAX,
      ),
    },
    info: true,
  };
}

/**
 * What a zstd frame says it inflates to, bytes; undefined when it does not say, or is none.
 *
 * @see RFC 8878, section 3.1.1.1
 */
function zstdContentBytes(frame: Buffer): number | undefined {
  if (frame.length < ZSTD_HEADER_MIN_BYTES || frame.readUInt32LE() !== ZSTD_MAGIC) return undefined;
  const descriptor = frame[4]!;
  const singleSegment = (descriptor & 0x20) !== 0;
  const at = 5 + (singleSegment ? 0 : 1) + ZSTD_DICTIONARY_ID_BYTES[descriptor & 3]!;
  const width = [singleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6]!;
  if (width === 0 || frame.length < at + width) return undefined;
  if (width === 8) return Number(frame.readBigUInt64LE(at));
  return frame.readUIntLE(at, width) + (width === 2 ? 256 : 0);
}

/** @param result what zstd gave with `info`. Node stops after the first frame and says nothing about the rest */
function wholeFrame(result: unknown, bytes: Buffer): Buffer {
  const { buffer, engine } = result as { buffer: Buffer; engine: { bytesWritten: number } };
  const rest = bytes.length - engine.bytesWritten;
  if (rest !== 0) throw new SluiceError('CORRUPT_BATCH', `${rest} bytes after the compressed records`);
  return buffer;
}

function inflateError(error: unknown, codec: Codec, inflatedMaxBytes: number): SluiceError {
  if (error instanceof SluiceError) return error;
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ERR_BUFFER_TOO_LARGE' || code === 'ZSTD_error_frameParameter_windowTooLarge') {
    return tooLarge(inflatedMaxBytes, error);
  }
  return new SluiceError('CORRUPT_BATCH', `the records do not inflate with ${codec}: ${String(error)}`, {
    cause: error,
  });
}

function tooLarge(inflatedMaxBytes: number, cause?: unknown): SluiceError {
  return new SluiceError('BATCH_TOO_LARGE', `the batch inflates to more than ${inflatedMaxBytes} bytes`, {
    cause,
  });
}
