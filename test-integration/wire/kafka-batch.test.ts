/**
 * Our record batch is Kafka's: an existing Kafka client reads what we write, and we read what it writes. The client's codec is
 * internal, so its files are loaded by path; it has no zstd, so that one is put over node:zlib.
 */
import { createRequire } from 'node:module';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Codec } from '../../src/wire/codecs.ts';
import { CODECS } from '../../src/wire/codecs.ts';
import { readBatchHeader, stampBatch, verifyBatch } from '../../src/wire/record-batch.ts';
import { RecordBatch } from '../../src/wire/record-batch-decoder.ts';
import { RecordBatchEncoder } from '../../src/wire/record-batch-encoder.ts';
import { filterBatch } from '../../src/wire/record-batch-filter.ts';

type Bytes = Buffer | null;

interface KafkaRecord {
  readonly offset: string;
  readonly timestamp: string;
  readonly key: Bytes;
  readonly value: Bytes;
  readonly headers: Readonly<Record<string, Buffer>>;
}

interface KafkaBatch {
  readonly firstOffset: string;
  readonly lastOffsetDelta: number;
  readonly maxTimestamp: string;
  readonly partitionLeaderEpoch: number;
  readonly producerId: string;
  readonly producerEpoch: number;
  readonly firstSequence: number;
  readonly records: readonly KafkaRecord[];
}

interface HasBuffer {
  readonly buffer: Buffer;
}

interface KafkaCodec {
  compress(encoder: HasBuffer): Promise<Buffer>;
  decompress(bytes: Buffer): Promise<Buffer>;
}

interface NewKafkaRecord {
  readonly offsetDelta: number;
  readonly timestampDelta: number;
  readonly key: Bytes;
  readonly value: Bytes;
  readonly headers: Readonly<Record<string, Buffer>>;
}

const PROTOCOL = 'kafkajs/src/protocol';
const require = createRequire(import.meta.url);
const KafkaDecoder = require(`${PROTOCOL}/decoder`) as new (bytes: Buffer) => object;
const decodeKafkaBatch = require(`${PROTOCOL}/recordBatch/v0/decoder`) as (
  decoder: object,
) => Promise<KafkaBatch>;
const kafkaRecord = require(`${PROTOCOL}/recordBatch/record/v0`) as (record: NewKafkaRecord) => object;
const kafkaBatch = require(`${PROTOCOL}/recordBatch/v0`) as {
  readonly RecordBatch: (batch: Readonly<Record<string, unknown>>) => Promise<HasBuffer>;
};
const compression = require(`${PROTOCOL}/message/compression`) as {
  readonly Codecs: Record<number, () => KafkaCodec>;
};

const T = 1_700_000_000_000;
const ALL: readonly Codec[] = ['none', 'gzip', 'zstd'];

interface SampleRecord {
  readonly timestampMs: number;
  readonly key: Bytes;
  readonly value: Bytes;
  readonly headers: readonly { readonly key: string; readonly value: Buffer }[];
}

const header = (key: string, value: string): SampleRecord['headers'][number] => ({
  key,
  value: Buffer.from(value),
});
const SAMPLE: readonly SampleRecord[] = [
  { timestampMs: T, key: Buffer.from('a'), value: Buffer.from('first'), headers: [] },
  {
    timestampMs: T + 70,
    key: null,
    value: Buffer.alloc(9000, 'x'),
    headers: [header('trace', 'abc'), header('ü', '')],
  },
  { timestampMs: T - 5000, key: Buffer.from('b'.repeat(100)), value: null, headers: [] },
  {
    timestampMs: T + 86_400_000 * 365,
    key: Buffer.alloc(0),
    value: Buffer.alloc(0),
    headers: [header('n', '1')],
  },
];

function encode(records: readonly SampleRecord[], codec: Codec): Buffer {
  const encoder = new RecordBatchEncoder();
  for (const r of records) encoder.append(r.key, r.value, r.headers, r.timestampMs);
  return encoder.finish({ codec, producerId: 4242, producerEpoch: 3, baseSequence: 17 });
}

function kafkaDecode(batch: Buffer): Promise<KafkaBatch> {
  return decodeKafkaBatch(new KafkaDecoder(batch));
}

async function kafkaEncode(records: readonly SampleRecord[], codec: Codec): Promise<Buffer> {
  const times = records.map((r) => r.timestampMs);
  const { buffer } = await kafkaBatch.RecordBatch({
    compression: CODECS[codec],
    firstTimestamp: times[0],
    maxTimestamp: Math.max(...times),
    lastOffsetDelta: records.length - 1,
    records: records.map((r, offsetDelta) =>
      kafkaRecord({
        offsetDelta,
        timestampDelta: r.timestampMs - times[0]!,
        key: r.key,
        value: r.value,
        headers: Object.fromEntries(r.headers.map((h) => [h.key, h.value])),
      }),
    ),
  });
  return buffer;
}

/** What both sides should see of `records`. */
function expected(records: readonly SampleRecord[], baseOffset: number): unknown[] {
  return records.map((r, i) => ({
    offset: String(baseOffset + i),
    timestamp: String(r.timestampMs),
    key: r.key,
    value: r.value,
    headers: Object.fromEntries(r.headers.map((h) => [h.key, h.value])),
  }));
}

function seenByKafka(batch: KafkaBatch): unknown[] {
  return batch.records.map(({ offset, timestamp, key, value, headers }) => ({
    offset,
    timestamp,
    key,
    value,
    headers,
  }));
}

function seenByUs(batch: Buffer): unknown[] {
  return Array.from(new RecordBatch(batch).records(), (r) => ({
    offset: String(r.offset),
    timestamp: String(r.timestampMs),
    key: r.key,
    value: r.value,
    headers: Object.fromEntries(r.headers.map((h) => [h.key, h.value])),
  }));
}

beforeAll(() => {
  compression.Codecs[CODECS.zstd] = () => ({
    compress: (encoder) => Promise.resolve(zstdCompressSync(encoder.buffer)),
    decompress: (bytes) => Promise.resolve(zstdDecompressSync(bytes)),
  });
});

describe('record batch and a Kafka client', () => {
  it.each(ALL)('the client reads every record of a batch of ours: %s', async (codec) => {
    const batch = encode(SAMPLE, codec);
    stampBatch(batch, 0x12_3456_789a, 7);
    expect(seenByKafka(await kafkaDecode(batch))).toEqual(expected(SAMPLE, 0x12_3456_789a));
  });

  it.each(ALL)('the client reads the header of a batch of ours: %s', async (codec) => {
    const batch = encode(SAMPLE, codec);
    stampBatch(batch, 500, 7);
    expect(await kafkaDecode(batch)).toMatchObject({
      firstOffset: '500',
      lastOffsetDelta: 3,
      maxTimestamp: String(T + 86_400_000 * 365),
      partitionLeaderEpoch: 7,
      producerId: '4242',
      producerEpoch: 3,
      firstSequence: 17,
    });
  });

  it.each(ALL)('the client reads what a filter left of a batch: %s', async (codec) => {
    const batch = encode(SAMPLE, codec);
    stampBatch(batch, 500, 7);
    const filtered = await kafkaDecode(filterBatch(batch, (record) => record.offset % 2 === 1));
    expect(filtered.records.map((record) => record.offset)).toEqual(['501', '503']);
  });

  it('the client reads an append time that the broker stamped', async () => {
    const batch = encode(SAMPLE, 'none');
    stampBatch(batch, 0, 0, T + 1);
    const { records } = await kafkaDecode(batch);
    expect(new Set(records.map((record) => record.timestamp))).toEqual(new Set([String(T + 1)]));
  });

  it.each(ALL)('the broker accepts a batch of the client: %s', async (codec) => {
    const batch = await kafkaEncode(SAMPLE, codec);
    expect(verifyBatch(batch, { batchMaxBytes: 1 << 20 }).recordCount).toBe(SAMPLE.length);
  });

  it.each(ALL)('we read every record of a batch of the client: %s', async (codec) => {
    expect(seenByUs(await kafkaEncode(SAMPLE, codec))).toEqual(expected(SAMPLE, 0));
  });

  it('writes the same bytes as the client from attributes on', async () => {
    const theirs = await kafkaEncode(SAMPLE, 'none');
    const ours = encode(SAMPLE, 'none');
    // Producer fields differ: the client writes epoch and sequence 0 without a producer.
    const producerAt = { from: 43, to: 57 };
    const cut = (batch: Buffer): Buffer[] => [
      batch.subarray(21, producerAt.from),
      batch.subarray(producerAt.to),
    ];
    expect(cut(ours)).toEqual(cut(theirs));
  });

  it('agrees with the client on whatever records there are', async () => {
    const bytes = fc.option(fc.uint8Array({ maxLength: 200 }).map((b) => Buffer.from(b)));
    const anyRecord = fc.record<SampleRecord>({
      timestampMs: fc.integer({ min: T - 2 ** 40, max: T + 2 ** 40 }),
      key: bytes,
      value: bytes,
      headers: fc.constant([]),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(anyRecord, { minLength: 1, maxLength: 10 }),
        fc.constantFrom(...ALL),
        async (records, codec) => {
          const ours = encode(records, codec);
          expect(seenByKafka(await kafkaDecode(ours))).toEqual(seenByUs(ours));
          expect(seenByUs(await kafkaEncode(records, codec))).toEqual(expected(records, 0));
        },
      ),
    );
  });

  it('takes the header of the client as it is', async () => {
    const header = readBatchHeader(await kafkaEncode(SAMPLE, 'zstd'));
    expect(header).toMatchObject({
      codec: 'zstd',
      producerId: -1,
      recordCount: 4,
      lastOffsetDelta: 3,
      baseTimestampMs: T,
    });
  });
});
