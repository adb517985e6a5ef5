/**
 * Hostile bytes against every decoder of src/wire: each either reads them or throws a SluiceError, and soon.
 *
 * Each test runs for FUZZ_SECONDS (default 0.5); fast-check prints the seed of a failure.
 */
import type { DescMessage } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as administration from '../../src/gen/sluice/client/v1/administration_pb.ts';
import * as control from '../../src/gen/sluice/client/v1/control_pb.ts';
import * as subscription from '../../src/gen/sluice/client/v1/subscription_pb.ts';
import { compressRecords } from '../../src/wire/codecs.ts';
import { decodeControl } from '../../src/wire/control.ts';
import { decodeCredit, decodeDatagram, decodeEnd, decodeGap } from '../../src/wire/delivery.ts';
import { FRAME, encodeFrame } from '../../src/wire/frame.ts';
import { FrameReader } from '../../src/wire/frame-reader.ts';
import { decodeProduce, decodeProduced } from '../../src/wire/produce.ts';
import { checkBatch, readBatchHeader, verifyBatch } from '../../src/wire/record-batch.ts';
import { RecordBatch } from '../../src/wire/record-batch-decoder.ts';
import { filterBatch } from '../../src/wire/record-batch-filter.ts';
import { validateRecords } from '../../src/wire/validate-records.ts';
import { codeOf, craftBatch, plain } from './craft.ts';
import { GOLDEN } from './golden-batches.ts';

const FUZZ_MS = Number(process.env['FUZZ_SECONDS'] ?? 0.5) * 1000;
/** Never reached: time ends the run. */
const RUNS = { numRuns: 100_000_000, interruptAfterTimeLimit: FUZZ_MS, markInterruptAsFailure: false };
const TIMEOUT_MS = FUZZ_MS + 20_000;
const INFLATED_MAX_BYTES = 1 << 20;
const goldens = Object.values(GOLDEN);

const anyBytes = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));

interface Mutation {
  readonly at: number;
  readonly byte: number;
  readonly kind: 'set' | 'insert' | 'remove' | 'cut' | 'flip';
}

const mutations = fc.array(
  fc.record<Mutation>({
    at: fc.nat(2000),
    // Lengths and counts at the edges of varints and of signed bytes break more than any other bytes.
    byte: fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 2, 0x7e, 0x7f, 0x80, 0xfe, 0xff)),
    kind: fc.constantFrom('set', 'insert', 'remove', 'cut', 'flip'),
  }),
  { minLength: 1, maxLength: 6 },
);

function mutate(bytes: Buffer, changes: readonly Mutation[]): Buffer {
  let result = Buffer.from(bytes);
  for (const { at, byte, kind } of changes) {
    const where = result.length === 0 ? 0 : at % result.length;
    const [before, after] = [result.subarray(0, where), result.subarray(where + 1)];
    if (kind === 'insert') result = Buffer.concat([before, Buffer.from([byte]), result.subarray(where)]);
    else if (kind === 'remove') result = Buffer.concat([before, after]);
    else if (kind === 'cut') result = Buffer.from(before);
    else if (where < result.length)
      result[where] = kind === 'set' ? byte : result[where]! ^ (1 << (byte & 7));
  }
  return result;
}

/** Reads everything there is in a batch, in every way. */
function readBatch(batch: Buffer): void {
  const open = new RecordBatch(batch, { inflatedMaxBytes: INFLATED_MAX_BYTES, verifyCrc: false });
  let count = 0;
  let last = -1;
  for (const record of open.records()) {
    const { offset } = plain(record);
    expect(offset).toBeGreaterThan(last);
    last = offset;
    count++;
  }
  expect(count).toBe(open.header.recordCount);
  expect(last).toBeLessThan(open.nextOffset);
}

function tryEverything(batch: Buffer): void {
  codeOf(() => readBatchHeader(batch));
  codeOf(() => checkBatch(batch));
  codeOf(() => verifyBatch(batch, { batchMaxBytes: 1 << 20 }));
  codeOf(() => readBatch(batch));
  codeOf(() => validateRecords(batch, { keyMaxBytes: 100, inflatedMaxBytes: INFLATED_MAX_BYTES }));
  codeOf(() => {
    const filtered = filterBatch(batch, (record) => record.offset % 2 === 0, INFLATED_MAX_BYTES);
    if (filtered === batch) return;
    checkBatch(filtered);
    readBatch(filtered);
  });
}

describe('hostile bytes', () => {
  it(
    'against the frame reader',
    () => {
      const frames = fc.array(
        fc.record({
          type: fc.constantFrom(...Object.values(FRAME)),
          topic: fc.constantFrom('', 'orders', 'a/b/€'),
          payload: fc.uint8Array({ maxLength: 40 }),
        }),
        { maxLength: 5 },
      );
      const cuts = fc.array(fc.nat(300), { maxLength: 5 });
      fc.assert(
        fc.property(frames, mutations, cuts, (wanted, changes, where) => {
          const valid = Buffer.concat(wanted.map((f) => encodeFrame(f.type, f.topic, f.payload)));
          const bytes = mutate(valid, changes);
          let taken = 0;
          const reader = new FrameReader(
            { maxFrameBytes: 10_000, maxControlBytes: 1000 },
            (_type, topic, payload) => {
              taken += 6 + Buffer.byteLength(topic) + payload.length;
            },
          );
          const code = codeOf(() => {
            let at = 0;
            for (const end of [
              ...where.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b),
              bytes.length,
            ]) {
              reader.push(bytes.subarray(at, end));
              at = end;
            }
            reader.end();
          });
          // Nothing is made up and nothing is lost without an error.
          expect(code === 'none' ? taken === bytes.length : taken < bytes.length).toBe(true);
        }),
        RUNS,
      );
    },
    TIMEOUT_MS,
  );

  it(
    'against the decoders of payloads and datagrams',
    () => {
      const decoders = [decodeProduce, decodeProduced, decodeGap, decodeEnd, decodeCredit, decodeDatagram];
      const heads = ['', '34000000000c', '34060000001a6f7264657273', '0000000700000003020000'];
      fc.assert(
        fc.property(fc.constantFrom(...heads), anyBytes, (head, tail) => {
          for (const decode of decoders)
            codeOf(() => decode(Buffer.concat([Buffer.from(head, 'hex'), tail])));
        }),
        RUNS,
      );
    },
    TIMEOUT_MS,
  );

  it(
    'against every control message',
    () => {
      const schemas = [administration, control, subscription].flatMap((file) =>
        Object.values<object>(file).filter(
          (entry): entry is DescMessage => 'kind' in entry && entry.kind === 'message',
        ),
      );
      expect(schemas.length).toBeGreaterThan(40);
      fc.assert(
        fc.property(fc.constantFrom(...schemas), anyBytes, (schema, bytes) => {
          codeOf(() => decodeControl(schema, bytes));
        }),
        RUNS,
      );
    },
    TIMEOUT_MS,
  );

  it(
    'against batches, cut and changed anywhere',
    () => {
      fc.assert(
        fc.property(fc.constantFrom(...goldens), mutations, (golden, changes) => {
          tryEverything(mutate(golden, changes));
        }),
        RUNS,
      );
    },
    TIMEOUT_MS,
  );

  it(
    'against records inside a batch whose length and CRC are right',
    () => {
      const records = fc
        .constantFrom(GOLDEN.nulls, GOLDEN.headers, GOLDEN.holes, GOLDEN.long)
        .map((b) => b.subarray(61));
      const counts = fc.oneof(fc.nat(5), fc.constant(2 ** 31 - 1));
      const codecs = fc.constantFrom('none', 'gzip', 'zstd');
      fc.assert(
        fc.property(
          fc.oneof(anyBytes, records),
          mutations,
          counts,
          codecs,
          (inner, changes, recordCount, codec) => {
            const bytes = compressRecords(codec, mutate(inner, changes));
            tryEverything(
              craftBatch(bytes, { recordCount, codec, lastOffsetDelta: Math.max(recordCount - 1, 4) }),
            );
          },
        ),
        RUNS,
      );
    },
    TIMEOUT_MS,
  );

  it(
    'against compressed bytes inside a batch whose length and CRC are right',
    () => {
      const blocks = fc.constantFrom(
        ['gzip', GOLDEN.gzip.subarray(61)] as const,
        ['zstd', GOLDEN.zstd.subarray(61)] as const,
        ['zstd', compressRecords('zstd', Buffer.alloc(1 << 16))] as const,
      );
      fc.assert(
        fc.property(blocks, mutations, ([codec, block], changes) => {
          tryEverything(craftBatch(mutate(block, changes), { recordCount: 3, codec }));
        }),
        RUNS,
      );
    },
    TIMEOUT_MS,
  );
});
