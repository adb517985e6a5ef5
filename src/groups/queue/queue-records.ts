import { SluiceError } from '../../kernel/errors.ts';
import { Slots } from '../../kernel/slots.ts';
import { offsetFromWire } from '../../wire/offset.ts';
import type { GroupAnswerInit, GroupQuestion } from '../api.ts';
import { Browse } from './browse.ts';
import { tooMuchHeld } from './held-bound.ts';
import { momentOf } from './moment.ts';
import type { PartitionRunner } from './partition-runner.ts';
import type { PartitionWork } from './partition-work.ts';
import type { QueueContext } from './queue-context.ts';
import type { OffsetRun } from './queue-event.ts';
import type { Queue } from './queue.ts';
import { Replay } from './replay.ts';
import { walkOpen } from './walk.ts';

const BROWSE_BYTES = 1024 * 1024;
const BROWSE_MAX_BYTES = 16 * 1024 * 1024;
const BROWSE_MAX_RECORDS = 10_000;

/** Partitions from which one request moves records at once. */
const REPLAYS_MAX = 4;

/** Looks at records that are not done. @throws INVALID_ARGUMENT; what reading throws; CANCELLED */
export async function browseRecords(
  context: QueueContext,
  queue: Queue,
  { maxRecords, maxBytes, positions }: GroupQuestion<'browseQueue'>,
  signal: AbortSignal | undefined,
): Promise<GroupAnswerInit<'browseQueue'>> {
  if (maxRecords < 1 || maxRecords > BROWSE_MAX_RECORDS) {
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `max_records is ${maxRecords}; it is 1 to ${BROWSE_MAX_RECORDS}`,
    );
  }
  const from = new Map(positions.map(({ partition, offset }) => [partition, offsetFromWire(offset)]));
  const works = queue.works();
  const ends = await endsToLookFor(context, queue, works);
  const limits = { records: maxRecords, bytes: Math.min(maxBytes || BROWSE_BYTES, BROWSE_MAX_BYTES) };
  const browse = new Browse(limits, context.clock, signal);
  for (const [at, { runner }] of works.entries()) {
    const first = Math.max(from.get(runner.partition) ?? 0, runner.state.floor);
    await browse.add({ runner, from: first, end: ends[at]! });
  }
  return browse.answer();
}

/** Publishes records elsewhere and takes them out of the queue. @throws RECORD_NOT_FOUND, INVALID_ARGUMENT, OVERLOADED; what reading and publishing throw; CANCELLED */
export async function moveRecords(
  context: QueueContext,
  queue: Queue,
  { ranges, destination }: GroupQuestion<'moveRecords'>,
  signal: AbortSignal | undefined,
): Promise<GroupAnswerInit<'moveRecords'>> {
  const { topics, clock, counters } = context;
  const slots = new Slots(REPLAYS_MAX);
  const wanted = await wantedRuns(context, queue, ranges);
  const ran = await Promise.allSettled(
    wanted.map(([{ runner, mover }, runs]) =>
      slots.run(async () => {
        const replay = new Replay({ runner, mover, topics, clock, topic: queue.topic, destination, signal });
        try {
          for (const run of runs) await replay.run(run);
        } finally {
          counters.moved += replay.moved;
        }
        return replay;
      }),
    ),
  );
  let [moved, homeless] = [0, 0];
  for (const result of ran) {
    if (result.status === 'rejected') throw result.reason;
    moved += result.value.moved;
    homeless += result.value.homeless;
  }
  if (moved === 0 && homeless > 0) {
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `${homeless} records do not say where they came from: name a destination`,
    );
  }
  if (moved === 0) checkFound(context, ranges, wanted);
  return { moved: BigInt(moved) };
}

/** Takes records out of the queue. @throws RECORD_NOT_FOUND; OVERLOADED: not all were; what reading throws; CANCELLED */
export async function discardRecords(
  context: QueueContext,
  queue: Queue,
  { ranges }: GroupQuestion<'discardRecords'>,
  signal: AbortSignal | undefined,
): Promise<GroupAnswerInit<'discardRecords'>> {
  let discarded = 0;
  const wanted = await wantedRuns(context, queue, ranges);
  for (const [{ runner }, runs] of wanted) {
    const { state } = runner;
    runner.unpark();
    for (const { first, end } of runs) {
      // With the batch that the first one is in it becomes known whether there is such a record.
      if (ranges.length > 0 && first >= state.cursor) await offerUpTo(context, runner, first + 1, signal);
      if (state.heldBytes >= runner.cutMaxBytes && state.discardGrows(first, end)) tooMuchHeld();
      discarded += state.skip(first, end);
    }
    runner.changed();
  }
  if (discarded === 0) checkFound(context, ranges, wanted);
  context.counters.discarded += discarded;
  return { discarded: BigInt(discarded) };
}

interface QueueRanges {
  readonly starts: readonly number[];
  /** Exclusive. */
  readonly ends: readonly number[];
}

/** What readers see of some partitions of a queue, as their leaders say. @throws as `Topics.ends` */
async function queueRanges(
  { topics }: QueueContext,
  { topic }: Queue,
  works: readonly PartitionWork[],
): Promise<QueueRanges> {
  const partitions = works.map(({ runner }) => runner.partition);
  const [starts, ends] = await Promise.all([
    topics.starts(topic, partitions),
    topics.ends(topic, partitions),
  ]);
  return { starts, ends };
}

/** Where they end, for who looks for records in them; what was deleted is dropped first. @throws as `Topics.ends` */
async function endsToLookFor(
  context: QueueContext,
  queue: Queue,
  works: readonly PartitionWork[],
): Promise<readonly number[]> {
  const { starts, ends } = await queueRanges(context, queue, works);
  for (const [at, { runner }] of works.entries()) runner.deletedBelow(starts[at]!);
  return ends;
}

/** Where a partition ends, exclusive, and how many of its records nobody has looked at yet. */
export interface QueueTail {
  readonly end: number;
  readonly unseen: number;
}

/** Of each partition. @throws as `Topics.ends` */
export async function queueTails(
  context: QueueContext,
  queue: Queue,
  works: readonly PartitionWork[],
): Promise<readonly QueueTail[]> {
  const { starts, ends } = await queueRanges(context, queue, works);
  // What a log has lost or dropped, as one in memory has after a restart, is not there to be leased.
  return works.map(({ runner: { state } }, at) => {
    const end = Math.max(ends[at]!, state.cursor);
    return { end, unseen: Math.max(0, end - Math.max(state.cursor, starts[at]!)) };
  });
}

/** Of what was named nothing was had: leased records are left alone, others are not there. @throws RECORD_NOT_FOUND */
function checkFound(
  { clock }: QueueContext,
  named: readonly unknown[],
  wanted: readonly [PartitionWork, OffsetRun[]][],
): void {
  const now = momentOf(clock);
  const isThere = ({ runner: { state } }: PartitionWork, { first, end }: OffsetRun): boolean =>
    state.open(first, 1, now).some((open) => open.first < end);
  if (named.length === 0 || wanted.some(([work, runs]) => runs.some((run) => isThere(work, run)))) return;
  throw new SluiceError(
    'RECORD_NOT_FOUND',
    'none of these records is in the queue: never there, done, or gone',
  );
}

/** What lies before a range is not what was meant: it is offered. */
async function offerUpTo(
  { clock }: QueueContext,
  runner: PartitionRunner,
  end: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const walk = walkOpen({ runner, clock, first: runner.state.cursor, end, offers: true, signal });
  while ((await walk.next()).done !== true);
}

/** Ranges by partition, cut to what there is; all there is where none is named. */
async function wantedRuns(
  context: QueueContext,
  queue: Queue,
  named: GroupQuestion<'discardRecords'>['ranges'],
): Promise<[PartitionWork, OffsetRun[]][]> {
  const works = queue.works();
  const ends = await endsToLookFor(context, queue, works);
  return works.flatMap((work, at): [PartitionWork, OffsetRun[]][] => {
    const { floor } = work.runner.state;
    const all = { first: floor, end: ends[at]! };
    const runs = named
      .filter(({ partition }) => partition === work.runner.partition)
      .map(({ first, end }) => ({
        first: Math.max(offsetFromWire(first), all.first),
        end: Math.min(offsetFromWire(end), all.end),
      }));
    const wanted = (named.length === 0 ? [all] : runs).filter(({ first, end }) => first < end);
    return wanted.length === 0 ? [] : [[work, wanted]];
  });
}
