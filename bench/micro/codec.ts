/**
 * How many records, batches and frames a second one core encodes and decodes. Prints one JSON document.
 *
 *     node bench/micro/codec.ts [seconds per measurement, default 1]
 *
 * Each rate is the median of three samples, with the least and the greatest.
 */
import { execFileSync } from 'node:child_process';
import { cpus } from 'node:os';
import { FRAME, encodeFrame } from '../../src/wire/frame.ts';
import { FrameReader } from '../../src/wire/frame-reader.ts';
import type { Codec } from '../../src/wire/codecs.ts';
import { stampBatch, verifyBatch } from '../../src/wire/record-batch.ts';
import { RecordBatch } from '../../src/wire/record-batch-decoder.ts';
import { RecordBatchEncoder } from '../../src/wire/record-batch-encoder.ts';
import { filterBatch } from '../../src/wire/record-batch-filter.ts';
import { validateRecords } from '../../src/wire/validate-records.ts';

const RECORD_BYTES = 128;
const BATCH_RECORDS = 500;
const SAMPLES = 3;
const seconds = Number(process.argv[2] ?? 1);

const key = Buffer.from('sensor-0042/temp');
const value = Buffer.alloc(RECORD_BYTES - key.length, 'abcdefghijklmnopqrstuvwxyz 0123456789 ');
const headers = [{ key: 'trace', value: Buffer.alloc(16, 7) }];
const encoder = new RecordBatchEncoder();
/** Kept outside so that the work cannot be thrown away. */
let sink = 0;

interface Rate {
  readonly name: string;
  readonly unit: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Runs `work`, which does `units` of something, for `seconds` three times. */
function measure(name: string, unit: string, units: number, work: () => void): Rate {
  const rates: number[] = [];
  for (let sample = -1; sample < SAMPLES; sample++) {
    const started = performance.now();
    let done = 0;
    let elapsedMs = 0;
    do {
      for (let i = 0; i < 20; i++) work();
      done += 20 * units;
      elapsedMs = performance.now() - started;
    } while (elapsedMs < seconds * 1000);
    if (sample >= 0) rates.push(Math.round(done / (elapsedMs / 1000)));
  }
  rates.sort((a, b) => a - b);
  return { name, unit, median: rates[1]!, min: rates[0]!, max: rates[2]! };
}

function encode(codec: Codec, withHeaders = false): Buffer {
  for (let i = 0; i < BATCH_RECORDS; i++) {
    encoder.append(key, value, withHeaders ? headers : [], 1_700_000_000_000 + i);
  }
  return encoder.finish({ codec });
}

function readAll(batch: Buffer): void {
  for (const record of new RecordBatch(batch).records()) sink += record.value!.length + record.key!.length;
}

function readLazily(batch: Buffer): void {
  new RecordBatch(batch).forEach((record) => {
    sink += record.offset;
  });
}

function readByCursor(batch: Buffer): void {
  const cursor = new RecordBatch(batch).cursor();
  while (cursor.next()) sink += cursor.keyBytes;
}

const plain = encode('none');
const withHeaders = encode('none', true);
const gzip = encode('gzip');
const zstd = encode('zstd');
const frames = Buffer.concat(
  Array.from({ length: 500 }, () => encodeFrame(FRAME.PUBLISH, 'sensors/room1', value)),
);
const batchFrame = encodeFrame(FRAME.BATCH, '', plain);
const DATAGRAM_PAYLOAD_BYTES = 1200;

function readFrames(stream: Buffer, chunkBytes: number): void {
  const reader = new FrameReader(
    { maxFrameBytes: 1 << 24, maxControlBytes: 1 << 16 },
    (_type, _topic, payload) => {
      sink += payload.length;
    },
  );
  for (let at = 0; at < stream.length; at += chunkBytes) reader.push(stream.subarray(at, at + chunkBytes));
  reader.end();
}

const results: Rate[] = [
  measure('encode none', 'records', BATCH_RECORDS, () => (sink += encode('none').length)),
  measure('encode none, one header', 'records', BATCH_RECORDS, () => (sink += encode('none', true).length)),
  measure('encode gzip', 'records', BATCH_RECORDS, () => (sink += encode('gzip').length)),
  measure('encode zstd', 'records', BATCH_RECORDS, () => (sink += encode('zstd').length)),
  measure('decode none, key and value read', 'records', BATCH_RECORDS, () => readAll(plain)),
  measure('decode none, one header, key and value read', 'records', BATCH_RECORDS, () =>
    readAll(withHeaders),
  ),
  measure('decode none, forEach, fields left lazy', 'records', BATCH_RECORDS, () => readLazily(plain)),
  measure('decode none, cursor', 'records', BATCH_RECORDS, () => readByCursor(plain)),
  measure('decode gzip, key and value read', 'records', BATCH_RECORDS, () => readAll(gzip)),
  measure('decode zstd, key and value read', 'records', BATCH_RECORDS, () => readAll(zstd)),
  measure('validate records none', 'records', BATCH_RECORDS, () =>
    validateRecords(plain, { keyMaxBytes: 64 }),
  ),
  measure('filter none, half stays', 'records', BATCH_RECORDS, () => {
    sink += filterBatch(plain, (record) => record.offset % 2 === 0).length;
  }),
  measure('verify and stamp', 'batches', 1, () => {
    sink += verifyBatch(plain, { batchMaxBytes: 1 << 20 }).recordCount;
    stampBatch(plain, 1000, 1);
  }),
  measure('read frames of 128 B, whole chunks', 'frames', 500, () => readFrames(frames, 64 * 1024)),
  measure('read frames of 128 B, packet chunks', 'frames', 500, () =>
    readFrames(frames, DATAGRAM_PAYLOAD_BYTES),
  ),
  measure('read BATCH frames of 75 KB, packet chunks', 'frames', 1, () =>
    readFrames(batchFrame, DATAGRAM_PAYLOAD_BYTES),
  ),
  measure(
    'encode frames of 128 B',
    'frames',
    1,
    () => (sink += encodeFrame(FRAME.MESSAGE, 'sensors/room1', value).length),
  ),
];

function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  } catch {
    return 'unknown';
  }
}

console.log(
  JSON.stringify(
    {
      bench: 'codec',
      commit: commit(),
      node: process.version,
      cores: cpus().length,
      cpu: cpus()[0]?.model,
      recordBytes: RECORD_BYTES,
      batchRecords: BATCH_RECORDS,
      batchBytes: { none: plain.length, gzip: gzip.length, zstd: zstd.length },
      samples: SAMPLES,
      secondsPerSample: seconds,
      perSecond: results,
      sink: sink > 0,
    },
    undefined,
    2,
  ),
);
