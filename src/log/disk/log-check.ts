import { join } from 'node:path';
import { SluiceError } from '../../kernel/errors.ts';
import { COMPACTION_FILE, readCompaction } from './compaction-state.ts';
import { KEPT_ASIDE, filePath, sortFiles } from './file-names.ts';
import type { FileKind } from './file-names.ts';
import type { FileSystem, OpenFile } from './file-system.ts';
import { IndexCheck } from './index-check.ts';
import { findNextBatch, scanSegment } from './segment-scan.ts';
import type { Snapshot } from './snapshot.ts';
import { decodeSnapshot } from './snapshot.ts';

/**
 * `damage`: something that was stored is not there any more. `mended`: the next start puts it right, nothing is lost. `kept`: a
 * damaged file that a start has put aside.
 */
export type FindingKind = 'damage' | 'mended' | 'kept';

/** One thing that is not as it should be. */
export interface Finding {
  readonly kind: FindingKind;
  /** Name in the log's directory. */
  readonly file: string;
  /** Byte of the file, where there is one. */
  readonly position?: number;
  /** For people. */
  readonly what: string;
}

/** What is in a log's directory. */
export interface LogReport {
  readonly segments: number;
  readonly bytes: number;
  readonly batches: number;
  readonly records: number;
  /** Where the log starts: what lies below is deleted. */
  readonly logStart: number;
  /** Exclusive. */
  readonly logEnd: number;
  readonly findings: readonly Finding[];
}

/**
 * Looks at every byte of a log that is not open: CRC and offset of each batch, what indexes and snapshots say of it. Changes nothing.
 *
 * @param signal aborted: it ends with CANCELLED
 * @throws what the file system says
 */
export function checkLog(directory: string, files: FileSystem, signal: AbortSignal): Promise<LogReport> {
  return new LogCheck(directory, files, signal).run();
}

class LogCheck {
  readonly #directory: string;
  readonly #files: FileSystem;
  readonly #signal: AbortSignal;
  readonly #findings: Finding[] = [];
  #snapshots: Snapshot[] = [];
  #rewrittenBelow = 0;
  #hasHoles = false;
  #segments = 0;
  #bytes = 0;
  #batches = 0;
  #records = 0;
  /** Where the segment before ends; −1 before the first. */
  #end = -1;
  /** Snapshots whose offset a batch ends at, in the file and at the byte they name. */
  readonly #confirmed = new Set<Snapshot>();

  constructor(directory: string, files: FileSystem, signal: AbortSignal) {
    this.#directory = directory;
    this.#files = files;
    this.#signal = signal;
  }

  async run(): Promise<LogReport> {
    const names = await this.#files.list(this.#directory);
    const found = sortFiles(names);
    const [reset] = found.resets;
    if (reset !== undefined) return emptied(reset);
    await this.#readCompaction();
    for (const offset of found.snapshots) await this.#readSnapshot(offset);
    for (const [at, base] of found.segments.entries()) {
      await this.#checkSegment(base, at === found.segments.length - 1);
    }
    this.#checkSnapshots();
    const orphans = [...found.indexes].filter((base) => !found.segments.includes(base));
    for (const base of orphans) this.#find('mended', nameOf(base, 'index'), 'an index without its segment');
    for (const name of found.unfinished) this.#find('mended', name, 'a file that was not finished');
    for (const name of names.filter((one) => one.endsWith(KEPT_ASIDE)))
      this.#find('kept', name, 'a damaged file as it was found at a start');
    const first = found.segments[0] ?? 0;
    return {
      segments: this.#segments,
      bytes: this.#bytes,
      batches: this.#batches,
      records: this.#records,
      logStart: Math.max(first, this.#snapshots.at(-1)?.facts.logStart ?? 0),
      logEnd: Math.max(this.#end, first),
      findings: this.#findings,
    };
  }

  async #readCompaction(): Promise<void> {
    const { rewrittenBelow, hasHoles } = await readCompaction(this.#directory, this.#files);
    this.#rewrittenBelow = rewrittenBelow;
    this.#hasHoles = hasHoles;
    if (rewrittenBelow === Infinity)
      this.#find('mended', COMPACTION_FILE, 'damaged: the log will be compacted anew');
  }

  async #readSnapshot(offset: number): Promise<void> {
    const name = nameOf(offset, 'snapshot');
    const snapshot = decodeSnapshot(await this.#files.readFile(join(this.#directory, name)));
    if (snapshot?.facts.offset === offset) this.#snapshots.push(snapshot);
    else this.#find('mended', name, 'damaged: an older one is used, or everything is read');
  }

  async #checkSegment(base: number, isLast: boolean): Promise<void> {
    const path = filePath(this.#directory, base, 'log');
    const file = await this.#files.open(path, { readOnly: true });
    try {
      const size = await file.size();
      if (!isLast && base < this.#end && (await endOf(file, size)) <= this.#end) {
        this.#find(
          'mended',
          nameOf(base, 'log'),
          'left behind by a merge: it lies inside the segment before',
        );
        return;
      }
      if (this.#end >= 0 && base !== this.#end) this.#misplaced(base);
      this.#segments++;
      const index = isLast ? undefined : await IndexCheck.load(this.#files, this.#directory, base);
      const bytes = await this.#checkBatches(file, base, size, isLast, index);
      this.#bytes += bytes;
      const stored = this.#storedBytes(base);
      if (bytes < stored)
        this.#find('damage', nameOf(base, 'log'), `the file ends here; ${stored} bytes were stored`, bytes);
      const fault = index ? index.finish(bytes, this.#end) : 'missing or damaged';
      if (!isLast && fault !== undefined)
        this.#find('mended', nameOf(base, 'index'), `${fault}: made anew when needed`);
    } finally {
      await file.close();
    }
  }

  #misplaced(base: number): void {
    const what =
      base > this.#end
        ? `offsets ${this.#end} to ${base} are in no file`
        : `begins at ${base}, before the end of the segment before, ${this.#end}`;
    this.#find('damage', nameOf(base, 'log'), what, 0);
  }

  /** Finds out where the segment ends. @returns its bytes, without room for more */
  async #checkBatches(
    file: OpenFile,
    base: number,
    size: number,
    isLast: boolean,
    index: IndexCheck | undefined,
  ): Promise<number> {
    const holes = this.#hasHoles || base < this.#rewrittenBelow;
    const marks = this.#snapshots.filter(({ facts }) => facts.segment === base);
    const mark = (position: number, offset: number): void => {
      for (const one of marks) {
        if (one.facts.position === position && one.facts.offset === offset) this.#confirmed.add(one);
      }
    };
    let from = 0;
    let expectedOffset = base;
    mark(0, base);
    for (;;) {
      const end = await scanSegment(
        file,
        { from, to: size },
        (header, position) => {
          if (this.#signal.aborted) throw new SluiceError('CANCELLED', 'interrupted');
          this.#batches++;
          this.#records += header.recordCount;
          index?.batch(header, position);
          mark(position + header.batchBytes, header.baseOffset + header.lastOffsetDelta + 1);
          return true;
        },
        { expectedOffset, holes, spare: isLast, verifyCrc: true },
      );
      this.#end = end.nextOffset;
      if (end.kind === 'end') return end.position;
      const next = await findNextBatch(file, { from: end.position, to: size }, end.nextOffset);
      this.#damaged(base, end, size, isLast && next === undefined);
      if (!next) return size;
      from = next.position;
      expectedOffset = next.baseOffset;
    }
  }

  #damaged(
    base: number,
    { position, nextOffset, reason }: { position: number; nextOffset: number; reason: string },
    size: number,
    isTail: boolean,
  ): void {
    const file = nameOf(base, 'log');
    if (isTail && position >= this.#storedBytes(base))
      this.#find('mended', file, `${size - position} bytes of a write that was not finished`, position);
    else this.#find('damage', file, `${reason}; records from offset ${nextOffset} on are damaged`, position);
  }

  /** Bytes that a segment had when a snapshot was written. */
  #storedBytes(base: number): number {
    const known = this.#snapshots.flatMap(({ facts }) => facts.segments);
    const bytes = known.filter(({ baseOffset }) => baseOffset === base).map((one) => one.bytes);
    return base < this.#rewrittenBelow ? 0 : Math.max(0, ...bytes);
  }

  /** What the newest snapshot says is where a start begins; the older ones are only for when it cannot be read. */
  #checkSnapshots(): void {
    for (const snapshot of this.#snapshots) {
      if (this.#confirmed.has(snapshot)) continue;
      const { offset, segment, position } = snapshot.facts;
      const file = nameOf(offset, 'snapshot');
      this.#find(
        'mended',
        file,
        `does not fit: offset ${offset} is not at byte ${position} of segment ${segment}`,
      );
    }
  }

  #find(kind: FindingKind, file: string, what: string, position?: number): void {
    this.#findings.push({ kind, file, ...(position !== undefined && { position }), what });
  }
}

/** A log that was being emptied: what else is there goes. */
function emptied(offset: number): LogReport {
  const what = `the log was to begin anew at offset ${offset}: the next start brings that to its end`;
  const findings: Finding[] = [{ kind: 'mended', file: nameOf(offset, 'reset'), what }];
  return { segments: 0, bytes: 0, batches: 0, records: 0, logStart: offset, logEnd: offset, findings };
}

/** Where the last good batch of a file ends. */
async function endOf(file: OpenFile, size: number): Promise<number> {
  const end = await scanSegment(file, { from: 0, to: size }, () => true, { holes: true, verifyCrc: false });
  return end.nextOffset;
}

function nameOf(offset: number, kind: FileKind): string {
  return filePath('', offset, kind);
}
