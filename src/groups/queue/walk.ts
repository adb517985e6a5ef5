import type { Clock } from '../../kernel/clock.ts';
import { SluiceError } from '../../kernel/errors.ts';
import { batchNextOffset } from '../../wire/record-batch.ts';
import { tooMuchHeld } from './held-bound.ts';
import { momentOf } from './moment.ts';
import type { PartitionRunner } from './partition-runner.ts';

/** Where the records of a queue are looked for. */
export interface WalkOptions {
  readonly runner: PartitionRunner;
  readonly clock: Clock;
  readonly first: number;
  /** Exclusive; what readers see, at most. */
  readonly end: number;
  /** Whether batches that were never offered are offered on the way. */
  readonly offers: boolean;
  /** Ends it with CANCELLED. */
  readonly signal?: AbortSignal | undefined;
}

/** A batch in which there are records that are not done. */
export interface WalkedBatch {
  readonly batch: Buffer;
  /** From where on it is looked at. */
  readonly first: number;
  /** Exclusive. */
  readonly end: number;
}

/** Batches of one partition of a queue that may hold records which are not done, in order. @throws what reading throws; CANCELLED; OVERLOADED: more cannot be offered */
export async function* walkOpen({
  runner,
  clock,
  first,
  end,
  offers,
  signal,
}: WalkOptions): AsyncGenerator<WalkedBatch> {
  const { state, batches } = runner;
  // What is offered is offered in order.
  let at = Math.max(offers ? Math.min(first, state.cursor) : first, state.floor);
  while (at < end) {
    if (signal?.aborted) throw new SluiceError('CANCELLED', 'the asker has gone');
    const open = nextOpen(state, at, clock);
    if (open > at) {
      at = open;
      continue;
    }
    if (offers) checkRoom(runner, at);
    const found = await batches.load(at);
    if (found.kind === 'gone') {
      if (offers) runner.skip(at, found.to);
      at = found.to;
      continue;
    }
    if (offers) runner.offer(found.batch);
    const from = Math.max(at, first);
    at = batchNextOffset(found.batch);
    if (from < Math.min(at, end)) yield { batch: found.batch, first: from, end: Math.min(at, end) };
  }
}

/** @throws OVERLOADED when what is at an offset would be offered, and nothing may */
function checkRoom({ state, offerMaxBytes }: PartitionRunner, at: number): void {
  if (at >= state.cursor && state.heldBytes >= offerMaxBytes) tooMuchHeld();
}

/** The first offset from `at` on that is not done. */
function nextOpen(state: PartitionRunner['state'], at: number, clock: Clock): number {
  if (at >= state.cursor) return at;
  const [open] = state.open(at, 1, momentOf(clock));
  return open ? Math.max(open.first, at) : state.cursor;
}
