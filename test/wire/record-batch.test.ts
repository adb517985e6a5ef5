import { describe, expect, it } from 'vitest';
import {
  batchBaseOffset,
  batchBaseSequence,
  batchBytes,
  batchCodec,
  batchLeaderEpoch,
  batchMaxTimestamp,
  batchNextOffset,
  batchProducerEpoch,
  batchProducerId,
  batchRecordCount,
  checkBatch,
  readBatchHeader,
  stampBatch,
  stampProducer,
  BATCH_MAX_RECORDS,
  verifyBatch,
} from '../../src/wire/record-batch.ts';
import { recordsOf, codeOf, craftBatch } from './craft.ts';
import { BASE_TIME_MS, GOLDEN } from './golden-batches.ts';

const LIMITS = { batchMaxBytes: 1000 };
const RECORD = GOLDEN.plain.subarray(61);
const copyOf = (batch: Buffer): Buffer => Buffer.from(batch);

/** `batch` with its attributes replaced and the CRC made right again. */
function withAttributes(batch: Buffer, attributes: number): Buffer {
  const copy = copyOf(batch);
  copy.writeUInt16BE(attributes & ~8, 21);
  // Stamping an append time is the public way to a new CRC; it sets bit 3.
  stampBatch(copy, 0, -1, batchMaxTimestamp(copy));
  return copy;
}

describe('batch header', () => {
  it('is read from the golden bytes', () => {
    expect(readBatchHeader(GOLDEN.producer)).toEqual({
      baseOffset: 0,
      batchBytes: 74,
      leaderEpoch: -1,
      crc: 0x6e76b230,
      attributes: 0,
      codec: 'none',
      appendTime: false,
      lastOffsetDelta: 0,
      baseTimestampMs: BASE_TIME_MS,
      maxTimestampMs: BASE_TIME_MS,
      producerId: 4242,
      producerEpoch: 3,
      baseSequence: 17,
      recordCount: 1,
    });
  });

  it('is read where other bytes follow the batch', () => {
    expect(readBatchHeader(Buffer.concat([GOLDEN.plain, GOLDEN.nulls])).batchBytes).toBe(GOLDEN.plain.length);
  });

  it('gives single fields', () => {
    const batch = GOLDEN.producer;
    expect([
      batchBaseOffset(GOLDEN.stamped),
      batchNextOffset(GOLDEN.stamped),
      batchLeaderEpoch(GOLDEN.stamped),
      batchBytes(batch),
      batchRecordCount(batch),
      batchMaxTimestamp(batch),
      batchProducerId(batch),
      batchProducerEpoch(batch),
      batchBaseSequence(batch),
      batchCodec(GOLDEN.zstd),
    ]).toEqual([0x123456789a, 0x123456789b, 7, 74, 1, BASE_TIME_MS, 4242, 3, 17, 'zstd']);
  });

  it('moves the position past records that were left out', () => {
    expect(batchNextOffset(GOLDEN.empty)).toBe(15);
  });

  it.each([
    ['base offset', 0],
    ['base timestamp', 27],
    ['max timestamp', 35],
    ['producer id', 43],
  ])('is corrupt when its %s is 2^53', (_field, at) => {
    const batch = copyOf(GOLDEN.plain);
    batch.writeBigInt64BE(2n ** 53n, at);
    expect(codeOf(() => readBatchHeader(batch))).toBe('CORRUPT_BATCH');
  });

  it('is corrupt when its last offset is beyond 2^53 − 2', () => {
    const batch = copyOf(GOLDEN.empty);
    batch.writeBigInt64BE(2n ** 53n - 5n, 0);
    expect(codeOf(() => readBatchHeader(batch))).toBe('CORRUPT_BATCH');
  });

  it.each([
    ['a negative last offset delta', 23],
    ['a negative record count', 57],
  ])('is corrupt with %s', (_what, at) => {
    const batch = copyOf(GOLDEN.holes);
    batch.writeInt32BE(-1, at);
    expect(codeOf(() => readBatchHeader(batch))).toBe('CORRUPT_BATCH');
  });

  it('is corrupt with more records than offsets', () => {
    const batch = copyOf(GOLDEN.holes);
    batch.writeInt32BE(6, 57);
    expect(codeOf(() => readBatchHeader(batch))).toBe('CORRUPT_BATCH');
  });

  it('is corrupt with a negative base offset', () => {
    const batch = copyOf(GOLDEN.plain);
    batch.writeBigInt64BE(-1n, 0);
    expect(codeOf(() => readBatchHeader(batch))).toBe('CORRUPT_BATCH');
  });
});

describe('checkBatch', () => {
  it.each(Object.entries(GOLDEN))('takes the golden batch %s', (_name, batch) => {
    expect(checkBatch(batch).batchBytes).toBe(batch.length);
  });

  it('refuses a batch cut anywhere', () => {
    const codes = Array.from({ length: GOLDEN.nulls.length }, (_, end) =>
      codeOf(() => checkBatch(GOLDEN.nulls.subarray(0, end))),
    );
    expect(new Set(codes)).toEqual(new Set(['CORRUPT_BATCH']));
  });

  it('refuses trailing bytes', () => {
    expect(codeOf(() => checkBatch(Buffer.concat([GOLDEN.plain, Buffer.alloc(1)])))).toBe('CORRUPT_BATCH');
  });

  it('refuses any flipped bit of the length and from the magic on', () => {
    const accepted: number[] = [];
    for (let bit = 8 * 8; bit < GOLDEN.nulls.length * 8; bit++) {
      if (bit === 12 * 8) bit = 16 * 8;
      const batch = copyOf(GOLDEN.nulls);
      batch[bit >> 3]! ^= 1 << (bit & 7);
      if (codeOf(() => checkBatch(batch)) === 'none') accepted.push(bit);
    }
    expect(accepted).toEqual([]);
  });
});

describe('verifyBatch', () => {
  it.each([
    ['plain', GOLDEN.plain],
    ['nulls', GOLDEN.nulls],
    ['producer', GOLDEN.producer],
    ['gzip', GOLDEN.gzip],
    ['zstd', GOLDEN.zstd],
  ])('takes %s from a client', (_name, batch) => {
    expect(codeOf(() => verifyBatch(batch, LIMITS))).toBe('none');
  });

  it('takes a batch of exactly batchMaxBytes', () => {
    expect(codeOf(() => verifyBatch(GOLDEN.plain, { batchMaxBytes: GOLDEN.plain.length }))).toBe('none');
  });

  it('refuses a batch of one byte more', () => {
    expect(codeOf(() => verifyBatch(GOLDEN.plain, { batchMaxBytes: GOLDEN.plain.length - 1 }))).toBe(
      'BATCH_TOO_LARGE',
    );
  });

  it('refuses a wrong CRC', () => {
    const batch = copyOf(GOLDEN.plain);
    batch[17]! ^= 1;
    expect(codeOf(() => verifyBatch(batch, LIMITS))).toBe('CORRUPT_BATCH');
  });

  it('refuses a batch without records', () => {
    expect(codeOf(() => verifyBatch(GOLDEN.empty, LIMITS))).toBe('CORRUPT_BATCH');
  });

  it('refuses holes', () => {
    expect(codeOf(() => verifyBatch(GOLDEN.holes, LIMITS))).toBe('CORRUPT_BATCH');
  });

  it('refuses an append time that a client claims', () => {
    expect(codeOf(() => verifyBatch(GOLDEN.appendTime, LIMITS))).toBe('CORRUPT_BATCH');
  });

  it.each([2, 3, 5, 6, 7])('refuses codec %i', (codec) => {
    expect(codeOf(() => verifyBatch(withAttributes(GOLDEN.plain, codec), LIMITS))).toBe('UNKNOWN_CODEC');
  });

  it.each([
    ['transactional', 0x10],
    ['control', 0x20],
  ])('refuses %s batches', (_what, attributes) => {
    expect(codeOf(() => verifyBatch(withAttributes(GOLDEN.plain, attributes), LIMITS))).toBe('UNSUPPORTED');
  });

  it('refuses attributes that no producer sets', () => {
    expect(codeOf(() => verifyBatch(withAttributes(GOLDEN.plain, 0x40), LIMITS))).toBe('CORRUPT_BATCH');
  });

  it('refuses more records than its bytes can hold', () => {
    const batch = craftBatch(RECORD, { recordCount: 2 });
    expect(codeOf(() => verifyBatch(batch, LIMITS))).toBe('CORRUPT_BATCH');
  });

  it('refuses more compressed records than a reader would inflate', () => {
    const batch = craftBatch(RECORD, { recordCount: 100, codec: 'zstd' });
    expect(codeOf(() => verifyBatch(batch, { batchMaxBytes: 1000, inflatedMaxBytes: 699 }))).toBe(
      'CORRUPT_BATCH',
    );
  });

  it('refuses more records than whoever looks into a batch could take without a pause', () => {
    const batch = (recordCount: number): Buffer =>
      craftBatch(RECORD, { recordCount, lastOffsetDelta: recordCount - 1, codec: 'zstd' });
    expect(codeOf(() => verifyBatch(batch(BATCH_MAX_RECORDS), LIMITS))).toBe('none');
    expect(codeOf(() => verifyBatch(batch(BATCH_MAX_RECORDS + 1), LIMITS))).toBe('BATCH_TOO_LARGE');
  });

  it.each([
    ['producer id −2', { producerId: -2 }],
    ['a producer without epoch', { producerId: 1, baseSequence: 0 }],
    ['a producer without sequence', { producerId: 1, producerEpoch: 0 }],
  ])('refuses %s', (_what, fields) => {
    expect(codeOf(() => verifyBatch(craftBatch(RECORD, fields), LIMITS))).toBe('CORRUPT_BATCH');
  });

  it('takes epoch and sequence 0 without a producer, as some clients write them', () => {
    const batch = craftBatch(RECORD, { producerEpoch: 0, baseSequence: 0 });
    expect(codeOf(() => verifyBatch(batch, LIMITS))).toBe('none');
  });
});

describe('stampBatch', () => {
  it('writes base offset and leader epoch as in the golden bytes, the CRC untouched', () => {
    const batch = copyOf(GOLDEN.plain);
    stampBatch(batch, 0x123456789a, 7);
    expect(batch).toEqual(GOLDEN.stamped);
  });

  it('writes an append time as in the golden bytes, the CRC new', () => {
    const batch = copyOf(GOLDEN.plain);
    stampBatch(batch, 5, 7, BASE_TIME_MS + 99);
    expect(batch).toEqual(GOLDEN.appendTime);
  });

  it('gives every record the append time', () => {
    const batch = copyOf(GOLDEN.nulls);
    stampBatch(batch, 0, 0, BASE_TIME_MS - 1000);
    expect(recordsOf(batch).map((record) => record.timestampMs)).toEqual(Array(3).fill(BASE_TIME_MS - 1000));
  });

  it('refuses offsets beyond 2^53 − 1', () => {
    const batch = copyOf(GOLDEN.nulls);
    expect(codeOf(() => stampBatch(batch, Number.MAX_SAFE_INTEGER - 2, 0))).toBe('OFFSET_OUT_OF_RANGE');
  });

  it('uses offsets up to 2^53 − 2', () => {
    const batch = copyOf(GOLDEN.nulls);
    stampBatch(batch, Number.MAX_SAFE_INTEGER - 3, 0);
    expect(readBatchHeader(batch).baseOffset).toBe(Number.MAX_SAFE_INTEGER - 3);
  });
});

describe('stampProducer', () => {
  it('writes the golden bytes of an idempotent producer, the CRC new', () => {
    const batch = copyOf(GOLDEN.plain);
    stampProducer(batch, { producerId: 4242, producerEpoch: 3, baseSequence: 17 });
    expect(batch).toEqual(GOLDEN.producer);
  });
});
