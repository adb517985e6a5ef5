/**
 * A segment file is what a Kafka broker sends as the records of a fetch response: the decoder of an existing Kafka client reads a
 * whole file, also one that was compacted. That decoder is internal to the client, so it is loaded by path; it has no zstd, so
 * that one is put over node:zlib.
 */
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemRandom } from '../../src/kernel/random.ts';
import { systemClock } from '../../src/kernel/system-clock.ts';
import { compactSegments } from '../../src/log/disk/compaction.ts';
import type { DiskLogSettings } from '../../src/log/disk/disk-log.ts';
import { DiskLog } from '../../src/log/disk/disk-log.ts';
import { createDiskShared } from '../../src/log/disk/disk-shared.ts';
import { nodeFileSystem } from '../../src/log/disk/node-file-system.ts';
import { scanSegment } from '../../src/log/disk/segment-scan.ts';
import { Segment } from '../../src/log/disk/segment.ts';
import { NO_STATE } from '../../src/log/log-state.ts';
import { CODECS } from '../../src/wire/codecs.ts';
import type { Codec } from '../../src/wire/codecs.ts';
import { stampBatch } from '../../src/wire/record-batch.ts';
import { RecordBatchEncoder } from '../../src/wire/record-batch-encoder.ts';

interface KafkaRecord {
  readonly offset: string;
  readonly timestamp: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, Buffer>>;
}

const PROTOCOL = 'kafkajs/src/protocol';
const require = createRequire(import.meta.url);
const KafkaDecoder = require(`${PROTOCOL}/decoder`) as new (bytes: Buffer) => object;
const decodeMessages = require(`${PROTOCOL}/requests/fetch/v4/decodeMessages`) as (
  decoder: object,
) => Promise<KafkaRecord[]>;
const compression = require(`${PROTOCOL}/message/compression`) as {
  readonly Codecs: Record<number, () => { decompress(bytes: Buffer): Promise<Buffer> }>;
};

const T = 1_700_000_000_000;
const BATCHES = 30;
const ALL = Object.keys(CODECS) as Codec[];
const SETTINGS: DiskLogSettings = {
  ...{ retentionBytes: 0, retentionMs: 0, retentionRecords: 0 },
  ...{ flush: 'os', flushIntervalMs: 1000, cleanup: 'delete', tombstoneMs: 1000 },
  ...{ replicationFactor: 1, minInsync: 1, uncleanElection: false },
};

interface Sent {
  readonly offset: number;
  readonly timestampMs: number;
  readonly key: string | null;
  readonly value: string | null;
  readonly header: string | undefined;
}

let directory: string;

/** Appends batches of all codecs, with keys and without, tombstones, headers, and a producer. */
async function write(): Promise<Sent[]> {
  const log = await DiskLog.open({
    directory,
    clock: systemClock,
    firstOffset: 5000,
    settings: SETTINGS,
    state: NO_STATE,
    shared: createDiskShared(nodeFileSystem),
    observer: { onRecovered() {}, onCorrupt() {}, onFault() {}, onHealed() {} },
  });
  const sent: Sent[] = [];
  const encoder = new RecordBatchEncoder();
  for (let n = 0; n < BATCHES; n++) {
    for (let at = 0; at < 10; at++) {
      const one: Sent = {
        offset: log.logEnd + at,
        timestampMs: T + n * 1000 + at,
        key: at % 5 === 0 ? null : `key ${(n * 7 + at) % 20}`,
        value: at % 7 === 3 ? null : `value ${n} ${at}`.repeat(at + 1),
        header: at === 2 ? `trace ${n}` : undefined,
      };
      const headers = one.header === undefined ? [] : [{ key: 'trace', value: Buffer.from(one.header) }];
      encoder.append(bytesOf(one.key), bytesOf(one.value), headers, one.timestampMs);
      sent.push(one);
    }
    const producer = n % 2 === 0 ? { producerId: 9, producerEpoch: 0, baseSequence: n * 10 } : {};
    const batch = encoder.finish({ codec: ALL[n % ALL.length]!, ...producer });
    stampBatch(batch, log.logEnd, 1);
    log.append(batch);
  }
  await log.close();
  return sent;
}

function bytesOf(text: string | null): Buffer | null {
  return text === null ? null : Buffer.from(text);
}

/** The bytes of the one segment file. */
async function segmentFile(): Promise<Buffer> {
  const [name, ...others] = (await readdir(directory)).filter((one) => one.endsWith('.log'));
  expect([name, others]).toEqual(['00000000000000005000.log', []]);
  return readFile(join(directory, name!));
}

/** What the client reads of a file. */
async function readByKafka(file: Buffer): Promise<Sent[]> {
  const size = Buffer.alloc(4);
  size.writeInt32BE(file.length);
  const records = await decodeMessages(new KafkaDecoder(Buffer.concat([size, file])));
  return records.map(({ offset, timestamp, key, value, headers }) => ({
    offset: Number(offset),
    timestampMs: Number(timestamp),
    key: key === null ? null : String(key),
    value: value === null ? null : String(value),
    header: headers['trace']?.toString(),
  }));
}

/** Compacts the one segment. */
async function compact(): Promise<number> {
  const segment = Segment.active(directory, 5000);
  const file = await nodeFileSystem.open(segment.path, { readOnly: true });
  await scanSegment(
    file,
    { from: 0, to: await file.size() },
    ({ baseOffset, lastOffsetDelta, batchBytes, maxTimestampMs }) => {
      segment.add(baseOffset, baseOffset + lastOffsetDelta + 1, batchBytes, maxTimestampMs, T);
      return true;
    },
    { verifyCrc: true },
  );
  await file.close();
  const { droppedRecords } = await compactSegments({
    directory,
    files: nodeFileSystem,
    clock: systemClock,
    random: systemRandom,
    limits: { mapBytes: 1e6, segmentBytes: 1e6, segmentMs: Infinity, segmentRecords: Infinity },
    segments: [Object.assign(segment, { loadIndex: () => Promise.resolve(segment.index!) })],
    compactedBelow: 0,
    tombstonesBelow: 0,
    tombstoneParts: [],
    signal: new AbortController().signal,
    onCorrupt: (path, position, reason) => expect.fail(`${path} at ${position}: ${reason}`),
    onReplacing: () => undefined,
    onReplaced: () => undefined,
    onInstalled: () => undefined,
  });
  return droppedRecords;
}

beforeAll(() => {
  compression.Codecs[CODECS.zstd] = () => ({
    decompress: (bytes) => Promise.resolve(zstdDecompressSync(bytes)),
  });
});
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sluice-segment-'));
});
afterEach(() => rm(directory, { recursive: true }));

describe('a segment file and a Kafka client', () => {
  it('the client reads every record of a whole file', async () => {
    const sent = await write();
    expect(sent).toHaveLength(BATCHES * 10);
    expect(await readByKafka(await segmentFile())).toEqual(sent);
  });

  it('the client reads every record that compaction left, with the offsets they had', async () => {
    const sent = await write();
    const last = new Map(sent.map(({ key, offset }) => [key, offset]));
    const left = sent.filter(({ key, offset }) => key === null || last.get(key) === offset);
    expect(await compact()).toBe(sent.length - left.length);
    expect(await readByKafka(await segmentFile())).toEqual(left);
  });
});
