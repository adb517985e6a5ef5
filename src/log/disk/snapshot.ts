/**
 * A snapshot: everything that is needed to go on with a log from one offset, without reading what lies before it.
 *
 *      0  4  magic            "SLSN"
 *      4  4  version          1
 *      8  4  bytes of facts   JSON, see {@link SnapshotFacts}
 *     12  4  bytes of index   of the active segment up to here, as an index file has it
 *     16  4  bytes of state   what the log's owner derives from its batches: producers
 *     20     facts, index, state
 *      …  4  CRC-32C          of everything before
 *
 * Big endian. The file is written beside, synced and renamed, so a name ending in `.snapshot` is a whole file, or damaged.
 *
 * @see docs/file-format.md
 */
import { crc32c } from '@node-rs/crc32';
import { z } from 'zod';
import { SegmentIndex } from './segment-index.ts';

const MAGIC = 0x534c534e;
const VERSION = 1;
const HEAD_BYTES = 20;
const CRC_BYTES = 4;

const count = z.number().int().nonnegative();
/** JSON has no infinity: null is a segment without records. */
const timestamp = z.number().nullable();

const segmentSchema = z.object({
  baseOffset: count,
  nextOffset: count,
  bytes: count,
  maxTimestampMs: timestamp,
  firstAppendMs: z.number(),
  lastAppendMs: z.number(),
});

const factsSchema = z.object({
  /** The offset this is about: every batch below it is taken into account, none at or above. */
  offset: count,
  /** Base offset of the segment that was active, and the byte in it where `offset` is. */
  segment: count,
  position: count,
  logStart: count,
  /** First offset of each leader epoch. */
  epochs: z.array(z.object({ epoch: z.number().int(), firstOffset: count })),
  /** Every segment, oldest first; the last one is the active one, up to `position`. */
  segments: z.array(segmentSchema),
});

/** What a snapshot says of the log itself; see docs/file-format.md. */
export type SnapshotFacts = z.infer<typeof factsSchema>;

/** A snapshot in memory. */
export interface Snapshot {
  readonly facts: SnapshotFacts;
  readonly index: SegmentIndex;
  /** Opaque here, see `LogState`. */
  readonly state: Buffer;
}

/** The snapshot as a file. @param index of the active segment, encoded */
export function encodeSnapshot(facts: SnapshotFacts, index: Buffer, state: Buffer): Buffer {
  const json = Buffer.from(JSON.stringify(facts));
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt32BE(MAGIC, 0);
  head.writeUInt32BE(VERSION, 4);
  head.writeUInt32BE(json.length, 8);
  head.writeUInt32BE(index.length, 12);
  head.writeUInt32BE(state.length, 16);
  const crc = Buffer.alloc(CRC_BYTES);
  const whole = Buffer.concat([head, json, index, state, crc]);
  whole.writeUInt32BE(crc32c(whole.subarray(0, -CRC_BYTES)), whole.length - CRC_BYTES);
  return whole;
}

/** Reads a file. @returns undefined when it is not a whole snapshot */
export function decodeSnapshot(bytes: Buffer): Snapshot | undefined {
  if (bytes.length < HEAD_BYTES + CRC_BYTES) return undefined;
  if (bytes.readUInt32BE(0) !== MAGIC || bytes.readUInt32BE(4) !== VERSION) return undefined;
  if (bytes.readUInt32BE(bytes.length - CRC_BYTES) !== crc32c(bytes.subarray(0, -CRC_BYTES)))
    return undefined;
  const [json, index, state] = [8, 12, 16].map((at) => bytes.readUInt32BE(at)) as [number, number, number];
  if (HEAD_BYTES + json + index + state + CRC_BYTES !== bytes.length) return undefined;
  const indexAt = HEAD_BYTES + json;
  const facts = parseFacts(bytes.toString('utf8', HEAD_BYTES, indexAt));
  const decoded = SegmentIndex.decode(bytes.subarray(indexAt, indexAt + index));
  if (!facts || !decoded) return undefined;
  return { facts, index: decoded.index, state: bytes.subarray(indexAt + index, indexAt + index + state) };
}

function parseFacts(text: string): SnapshotFacts | undefined {
  try {
    return factsSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
