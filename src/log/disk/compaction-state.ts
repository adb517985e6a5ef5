/**
 * How far a log has been compacted, in a file of its own beside the segments: `compaction`.
 *
 *      0  4  magic            "SLCP"
 *      4  4  version          2
 *      8  8  rewritten below  files of segments that begin below may have been written anew, with holes
 *     16  8  compacted below  of the records below, only the latest of each key are left, and those that a later one has replaced since
 *     24  4  holes            1: batches were appended with holes between them, as compaction had left them elsewhere; else 0
 *     28  4  number of entries
 *     32     entries of 16 bytes: records without value that are kept for readers to see, oldest first
 *            0  8  below      they are below this offset, and at or above that of the entry before
 *            8  8  since      when the last of them was first compacted, ms since 1970
 *      …  4  CRC-32C          of everything before
 *
 * Big endian; offsets and times are IEEE 754 doubles. The file is written beside, synced and renamed.
 *
 * @see docs/file-format.md
 */
import { join } from 'node:path';
import { crc32c } from '@node-rs/crc32';
import type { FileSystem } from './file-system.ts';
import { replaceFile } from './snapshots.ts';

const MAGIC = 0x534c4350;
const VERSION = 2;
const HEAD_BYTES = 32;
const ENTRY_BYTES = 16;
const CRC_BYTES = 4;
const MAX_ENTRIES = 64;
/** Tombstones whose time comes this close after each other, as a share of the time they are kept, go together. */
const ROUND_TO_SHARE = 1 / 4;

/** Name of the file. */
export const COMPACTION_FILE = 'compaction';

/** Records without value in a part of the log. */
export interface Tombstones {
  readonly below: number;
  readonly sinceMs: number;
}

/** What the file says. */
export interface CompactionFacts {
  readonly rewrittenBelow: number;
  readonly compactedBelow: number;
  /** Whether there may be holes between batches in any segment. */
  readonly hasHoles: boolean;
  readonly tombstones: readonly Tombstones[];
}

const NEVER: CompactionFacts = {
  rewrittenBelow: 0,
  compactedBelow: 0,
  hasHoles: false,
  tombstones: [],
};
/** Nothing is known: everything may have holes, and has to be compacted again. */
const UNKNOWN: CompactionFacts = { ...NEVER, rewrittenBelow: Infinity, hasHoles: true };

/** The file and what it says. */
export class CompactionState {
  readonly #directory: string;
  readonly #files: FileSystem;
  #facts: CompactionFacts;
  #saving: Promise<void> = Promise.resolve();

  private constructor(directory: string, files: FileSystem, facts: CompactionFacts) {
    this.#directory = directory;
    this.#files = files;
    this.#facts = facts;
  }

  /** Reads the file; one that is missing or damaged is no fault. @throws what the file system says when it cannot be read */
  static async load(directory: string, files: FileSystem): Promise<CompactionState> {
    const facts = await readCompaction(directory, files);
    return new CompactionState(directory, files, facts);
  }

  get facts(): CompactionFacts {
    return this.#facts;
  }

  /** When the oldest tombstones go, ms since 1970; Infinity when there are none. */
  tombstonesDueMs(tombstoneMs: number): number {
    const oldest = this.#facts.tombstones[0];
    return oldest ? oldest.sinceMs + tombstoneMs : Infinity;
  }

  /** Tombstones below this offset have been kept long enough. */
  expiredBelow(tombstoneMs: number, wallMs: number): number {
    const expired = this.#facts.tombstones.filter(({ sinceMs }) => sinceMs + tombstoneMs <= wallMs);
    return expired.at(-1)?.below ?? 0;
  }

  /** A batch is about to be appended behind a hole. Durable when it resolves. */
  async beginHoles(): Promise<void> {
    if (!this.#facts.hasHoles) await this.#save((facts) => ({ ...facts, hasHoles: true }));
  }

  /** Segments that begin below `offset` are about to be rewritten. Durable when it resolves. */
  async begin(offset: number): Promise<void> {
    if (offset <= this.#facts.rewrittenBelow) return;
    await this.#save((facts) => ({ ...facts, rewrittenBelow: offset }));
  }

  /**
   * Everything below `offset` is compacted. Durable when it resolves.
   * @param withTombstones the ends of parts, of those there were and `offset`, in which tombstones are left
   */
  async finish(
    offset: number,
    withTombstones: ReadonlySet<number>,
    tombstoneMs: number,
    wallMs: number,
  ): Promise<void> {
    const { compactedBelow, tombstones } = this.#facts;
    const roundMs = Math.max(1, tombstoneMs * ROUND_TO_SHARE);
    const sinceMs = Math.ceil(wallMs / roundMs) * roundMs;
    const added = offset > compactedBelow ? [...tombstones, { below: offset, sinceMs }] : tombstones;
    const left: Tombstones[] = [];
    for (const entry of added) {
      if (!withTombstones.has(entry.below)) continue;
      if (left.at(-1)?.sinceMs === entry.sinceMs || left.length === MAX_ENTRIES) left.pop();
      left.push(entry);
    }
    const compacted = Math.max(offset, compactedBelow);
    await this.#save((facts) => ({ ...facts, compactedBelow: compacted, tombstones: left }));
  }

  /** The log is about to be cut off at `offset`: what is appended there is new. Durable when it resolves. */
  async truncate(offset: number): Promise<void> {
    const { compactedBelow, tombstones } = this.#facts;
    if (compactedBelow <= offset) return;
    const cut = tombstones.map(({ below, sinceMs }) => ({ below: Math.min(below, offset), sinceMs }));
    await this.#save((facts) => ({ ...facts, compactedBelow: offset, tombstones: cut }));
  }

  /** The log is empty, and the file gone. */
  reset(): void {
    this.#facts = NEVER;
  }

  /** One after the other: a compaction and the log's writer know nothing of each other. */
  #save(change: (facts: CompactionFacts) => CompactionFacts): Promise<void> {
    const saving = this.#saving.then(async () => {
      const facts = change(this.#facts);
      await replaceFile(this.#files, this.#directory, join(this.#directory, COMPACTION_FILE), encode(facts));
      this.#facts = facts;
    });
    this.#saving = saving.catch(() => undefined);
    return saving;
  }
}

/** Reads a log's file without a {@link CompactionState}. */
export async function readCompaction(directory: string, files: FileSystem): Promise<CompactionFacts> {
  try {
    return decode(await files.readFile(join(directory, COMPACTION_FILE))) ?? UNKNOWN;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return NEVER;
    throw error;
  }
}

function encode({ rewrittenBelow, compactedBelow, hasHoles, tombstones }: CompactionFacts): Buffer {
  const bytes = Buffer.alloc(HEAD_BYTES + tombstones.length * ENTRY_BYTES + CRC_BYTES);
  bytes.writeUInt32BE(MAGIC, 0);
  bytes.writeUInt32BE(VERSION, 4);
  bytes.writeDoubleBE(rewrittenBelow, 8);
  bytes.writeDoubleBE(compactedBelow, 16);
  bytes.writeUInt32BE(hasHoles ? 1 : 0, 24);
  bytes.writeUInt32BE(tombstones.length, 28);
  tombstones.forEach(({ below, sinceMs }, n) => {
    bytes.writeDoubleBE(below, HEAD_BYTES + n * ENTRY_BYTES);
    bytes.writeDoubleBE(sinceMs, HEAD_BYTES + n * ENTRY_BYTES + 8);
  });
  bytes.writeUInt32BE(crc32c(bytes.subarray(0, -CRC_BYTES)), bytes.length - CRC_BYTES);
  return bytes;
}

function decode(bytes: Buffer): CompactionFacts | undefined {
  if (bytes.length < HEAD_BYTES + CRC_BYTES) return undefined;
  if (bytes.readUInt32BE(0) !== MAGIC || bytes.readUInt32BE(4) !== VERSION) return undefined;
  const count = bytes.readUInt32BE(28);
  if (bytes.length !== HEAD_BYTES + count * ENTRY_BYTES + CRC_BYTES) return undefined;
  if (bytes.readUInt32BE(bytes.length - CRC_BYTES) !== crc32c(bytes.subarray(0, -CRC_BYTES)))
    return undefined;
  return {
    rewrittenBelow: bytes.readDoubleBE(8),
    compactedBelow: bytes.readDoubleBE(16),
    hasHoles: bytes.readUInt32BE(24) !== 0,
    tombstones: Array.from({ length: count }, (_, n) => ({
      below: bytes.readDoubleBE(HEAD_BYTES + n * ENTRY_BYTES),
      sinceMs: bytes.readDoubleBE(HEAD_BYTES + n * ENTRY_BYTES + 8),
    })),
  };
}
