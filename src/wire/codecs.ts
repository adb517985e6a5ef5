import { constants, gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { SluiceError } from '../kernel/errors.ts';

/** Compression of a batch's records, by name, and its number in the attributes (bits 0–2), as in Kafka. */
export const CODECS = { none: 0, gzip: 1, zstd: 4 } as const;
export type Codec = keyof typeof CODECS;

/** What a batch may inflate to by default, bytes. */
export const INFLATED_MAX_BYTES = 16 * 1024 * 1024;

const CHUNK_BYTES = 64 * 1024;
/** A zstd frame may ask its reader for a window of up to 2 GiB; this much (8 MiB) is always granted, more only up to the bound. */
const ZSTD_WINDOW_LOG_MIN = 23;
const ZSTD_WINDOW_LOG_MAX = 27;

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
      return zstdCompressSync(bytes);
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
    return codec === 'gzip' ? inflateGzip(bytes, inflatedMaxBytes) : inflateZstd(bytes, inflatedMaxBytes);
  } catch (error) {
    if (error instanceof SluiceError) throw error;
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ERR_BUFFER_TOO_LARGE' || code === 'ZSTD_error_frameParameter_windowTooLarge') {
      throw tooLarge(inflatedMaxBytes, error);
    }
    throw new SluiceError('CORRUPT_BATCH', `the records do not inflate with ${codec}: ${String(error)}`, {
      cause: error,
    });
  }
}

function inflateGzip(bytes: Buffer, inflatedMaxBytes: number): Buffer {
  return gunzipSync(bytes, { maxOutputLength: inflatedMaxBytes, chunkSize: CHUNK_BYTES });
}

function inflateZstd(bytes: Buffer, inflatedMaxBytes: number): Buffer {
  const windowLog = Math.ceil(Math.log2(inflatedMaxBytes));
  const result = zstdDecompressSync(bytes, {
    maxOutputLength: inflatedMaxBytes,
    chunkSize: CHUNK_BYTES,
    params: {
      [constants.ZSTD_d_windowLogMax]: Math.min(
        Math.max(windowLog, ZSTD_WINDOW_LOG_MIN),
        ZSTD_WINDOW_LOG_MAX,
      ),
    },
    info: true,
  }) as unknown as { readonly buffer: Buffer; readonly engine: { readonly bytesWritten: number } };
  // Node stops after the first zstd frame and says nothing about the rest.
  if (result.engine.bytesWritten !== bytes.length) {
    throw new SluiceError(
      'CORRUPT_BATCH',
      `${bytes.length - result.engine.bytesWritten} bytes after the compressed records`,
    );
  }
  return result.buffer;
}

function tooLarge(inflatedMaxBytes: number, cause?: unknown): SluiceError {
  return new SluiceError('BATCH_TOO_LARGE', `the batch inflates to more than ${inflatedMaxBytes} bytes`, {
    cause,
  });
}
