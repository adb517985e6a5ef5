import type { ByteBudget } from '../log/byte-budget.ts';
import type { PartitionRef } from '../partition/replication.ts';
import { batchBaseOffset, batchNextOffset, checkBatchHeader } from '../wire/record-batch.ts';
import type { CopyAnswer, CopyReader } from './copy-reader.ts';
import type { CopySources } from './copy-sources.ts';

/** How long a source keeps a read while there is nothing new, milliseconds. */
const MAX_WAIT_MS = 500;
const MAX_OUTSTANDING = 2;
/** A range is cut so that its records fit into one answer although they are not all of one size. */
const RANGE_SHARE = 0.9;

/** A read that is under way. */
export interface FeedRead {
  readonly node: string;
  /** It is no replica that is asked. */
  readonly isRelayed: boolean;
  readonly from: number;
  /** Exclusive; undefined: all there is. */
  readonly upTo: number | undefined;
  /** The source was told what is here below `from`, so that it says when it has something else there; or nothing is known. */
  readonly isChecked: boolean;
  /** With batches whose headers can be relied upon. */
  readonly answer: Promise<CopyAnswer>;
}

/** Where a copy is. */
export interface FeedPosition {
  readonly logEnd: number;
  /** As a source has said it last. */
  readonly highWatermark: number;
  /** Epoch of the last batch below `logEnd`; undefined: not known. */
  readonly lastEpoch: number | undefined;
}

/** What reading ahead takes. */
export interface FeedReadsOptions {
  readonly ref: PartitionRef;
  readonly reader: CopyReader;
  readonly sources: Pick<CopySources, 'isRelay'>;
  /** Bytes of one answer. */
  readonly readBytes: number;
  /** Bytes that all copies of a node ask for above one read each. */
  readonly ahead: ByteBudget;
}

/**
 * The reads that feed a copy, in order. At the end it is one, which the source keeps until there is something. Far behind it are two, of ranges that
 * follow each other, so that one is on its way while the other is worked in:
 *
 *     logEnd ─ range of about one read ─> upTo ─ the next range, or all there is ─>
 */
export class FeedReads {
  readonly #options: FeedReadsOptions;
  #underWay: FeedRead[] = [];
  /** Of what came last; 0: nothing has. */
  #bytesPerOffset = 0;

  constructor(options: FeedReadsOptions) {
    this.#options = options;
  }

  /** The one that is worked in next. */
  get first(): FeedRead | undefined {
    return this.#underWay[0];
  }

  /** Something is asked of a relay. */
  get asksRelay(): boolean {
    return this.#underWay.some(({ isRelayed }) => isRelayed);
  }

  /** Asks for what comes next, as far as may be asked for now. */
  fill(node: string, position: FeedPosition): void {
    const { ahead, readBytes } = this.#options;
    while (this.#underWay.length < MAX_OUTSTANDING) {
      const last = this.#underWay.at(-1);
      const from = last ? last.upTo : position.logEnd;
      if (from === undefined) return;
      const isAhead = last !== undefined;
      if (isAhead && !ahead.tryTake(readBytes)) return;
      const upTo = this.#rangeEnd(from, position.highWatermark);
      const read = this.#send(node, from, upTo, isAhead ? undefined : position.lastEpoch, !isAhead);
      this.#underWay.push(read);
      if (isAhead) {
        const giveBack = (): void => ahead.give(readBytes);
        read.answer.then(giveBack, giveBack);
      }
    }
  }

  /** The first one has been answered, and its batches worked in. @param end how far they have brought the copy */
  done(batches: readonly Buffer[], end: number): void {
    const read = this.#underWay.shift()!;
    const last = batches.at(-1);
    if (!last) return;
    const bytes = batches.reduce((sum, batch) => sum + batch.length, 0);
    this.#bytesPerOffset = bytes / (batchNextOffset(last) - batchBaseOffset(batches[0]!));
    // Its records were larger than those before: the rest of its range comes before what was asked for after it.
    if (read.upTo === undefined || end >= read.upTo) return;
    this.#underWay.unshift(this.#send(read.node, end, read.upTo, undefined, false));
  }

  /** What was asked for is not wanted any more. */
  clear(): void {
    this.#underWay = [];
  }

  /** Reads where there may be nothing, and waits for nothing. @throws as `CopyReader.read`; CORRUPT_BATCH */
  ask(node: string, offset: number, maxBytes = this.#options.readBytes): Promise<CopyAnswer> {
    const { reader, ref } = this.#options;
    return reader.read(node, { ...ref, offset, maxBytes, maxWaitMs: 0 }).then(checked);
  }

  #rangeEnd(from: number, highWatermark: number): number | undefined {
    const { readBytes } = this.#options;
    if (this.#bytesPerOffset === 0) return undefined;
    const upTo = from + Math.max(1, Math.floor((readBytes * RANGE_SHARE) / this.#bytesPerOffset));
    return upTo < highWatermark ? upTo : undefined;
  }

  #send(
    node: string,
    from: number,
    upTo: number | undefined,
    lastEpoch: number | undefined,
    isChecked: boolean,
  ): FeedRead {
    const { reader, ref, readBytes, sources } = this.#options;
    const isRelayed = sources.isRelay(node);
    const request = {
      ...{ ...ref, offset: from, upTo, lastEpoch, maxBytes: readBytes, maxWaitMs: MAX_WAIT_MS },
      ...{ feeds: !isRelayed, observed: isRelayed },
    };
    const answer = reader.read(node, request).then(checked);
    // Whether it failed is looked at when it is its turn, if it ever is.
    answer.catch(() => undefined);
    return { node, isRelayed, from, upTo, isChecked, answer };
  }
}

/** What comes from another node nobody has looked at. @throws CORRUPT_BATCH */
function checked(answer: CopyAnswer): CopyAnswer {
  for (const batch of answer.batches) checkBatchHeader(batch);
  return answer;
}
