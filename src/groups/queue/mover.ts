import { Backoff } from '../../kernel/backoff.ts';
import type { Clock } from '../../kernel/clock.ts';
import { delay } from '../../kernel/clock.ts';
import type { ErrorCode, SluiceError } from '../../kernel/errors.ts';
import { asSluiceError } from '../../kernel/errors.ts';
import type { Random } from '../../kernel/random.ts';
import type { RecordBatchEncoder } from '../../wire/record-batch-encoder.ts';
import { notCoordinator } from '../not-coordinator.ts';
import type { Topics } from '../ports.ts';
import type { PastRecord } from './find-records.ts';
import { findRecords } from './find-records.ts';
import { deadLetterHeaders, replayedHeaders } from './moved-record.ts';
import { momentOf } from './moment.ts';
import type { PartitionRunner } from './partition-runner.ts';
import type { Move, MoveIntent, OffsetRun } from './queue-event.ts';
import type { StateWriter } from '../state-writer.ts';
import type { Trouble } from '../trouble.ts';

/** Records of one move at most: it is stored as one, and done again as one. */
export const MOVE_MAX_RECORDS = 99;

/** Bytes of records of one move, unless a single one is larger. */
export const MOVE_MAX_BYTES = 256 * 1024;

const RETRY = { minMs: 50, maxMs: 10_000 } as const;

/** The batch was certainly not stored, and will not be when it is sent again as it is. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set([
  'TOPIC_NOT_FOUND',
  'PARTITION_NOT_FOUND',
  'BATCH_TOO_LARGE',
  'RECORD_TOO_LARGE',
  'KEY_TOO_LARGE',
  'FORBIDDEN',
  'UNSUPPORTED',
  'INVALID_TOPIC',
  'UNKNOWN_PRODUCER',
  'OUT_OF_ORDER_SEQUENCE',
  'PRODUCER_FENCED',
]);

/** One stream of moves to one partition, in order: a producer of its own. */
export interface MoveLane {
  readonly topic: string;
  readonly partition: number;
  readonly producerId: number;
  nextSequence: number;
}

/** How a move ended. */
export type MoveOutcome =
  | { readonly kind: 'moved' }
  /** One of its records is somebody else's by now, or was deleted; nothing was done. */
  | { readonly kind: 'not-free' }
  /** Nothing was published, and the records are as before. */
  | { readonly kind: 'refused'; readonly error: SluiceError };

/** What {@link Mover} needs. */
export interface MoverOptions {
  readonly runner: PartitionRunner;
  readonly topic: string;
  readonly group: string;
  readonly topics: Topics;
  readonly writer: StateWriter;
  /** Filled and emptied in one turn, so others may use it in other turns. */
  readonly encoder: RecordBatchEncoder;
  readonly clock: Clock;
  readonly random: Random;
  /** Something failed that is tried again, unless this is closed. */
  readonly onTrouble: (work: Trouble['work'], error: unknown) => void;
}

/**
 * Moves records of one partition of a queue to another topic, each exactly once.
 *
 * The step that counts is one: what is to be moved is stored first, with the producer id and the sequence of the batch that will carry it. From then on
 * the batch is published, by whoever coordinates the queue, until its partition says that it has it; a second one of the same sequence is
 * a duplicate there and is stored no second time. Then it is stored that the records are done.
 */
export class Mover {
  readonly #options: MoverOptions;
  #isClosed = false;

  constructor(options: MoverOptions) {
    this.#options = options;
  }

  /** Does the moves again that were begun before this node coordinated the queue. */
  resume(): void {
    for (const move of this.#options.runner.state.moves()) void this.#resume(move);
  }

  /** A new producer for moves to one partition. @throws as `Topics.initProducer` */
  async lane(topic: string, partition: number): Promise<MoveLane> {
    return { topic, partition, producerId: await this.#options.topics.initProducer(), nextSequence: 0 };
  }

  /**
   * Moves records, in rising order of offset and at most {@link MOVE_MAX_RECORDS}; goes on until it is known how that ended. One call of a lane at a time.
   * @throws NOT_LEADER when this node coordinates the queue no more: whoever does goes on
   */
  async move(lane: MoveLane, kind: MoveIntent['kind'], records: readonly PastRecord[]): Promise<MoveOutcome> {
    const { runner, clock, writer } = this.#options;
    const intent: MoveIntent = {
      kind,
      topic: lane.topic,
      partition: lane.partition,
      producerId: lane.producerId,
      sequence: lane.nextSequence,
      atMs: clock.now(),
      runs: runsOf(records),
    };
    // Before anything begins: a move whose batch cannot be made would never end.
    const batch = this.#encode(intent, records);
    const move = runner.state.beginMove(intent);
    if (!move) return { kind: 'not-free' };
    runner.changed();
    await writer.stored();
    // Deleted meanwhile: from now on it is in no topic.
    const isGone = records[0]!.offset < runner.batches.logStart;
    const error = isGone ? undefined : await this.#publish(move, batch);
    if (error || isGone) runner.state.cancelMove(move.id);
    else {
      runner.state.endMove(move.id);
      lane.nextSequence += records.length;
    }
    runner.changed();
    await writer.stored();
    if (isGone) return { kind: 'not-free' };
    return error ? { kind: 'refused', error } : { kind: 'moved' };
  }

  /** Idempotent. */
  close(): void {
    this.#isClosed = true;
  }

  async #resume(move: Move): Promise<void> {
    const { runner, clock, random, onTrouble } = this.#options;
    const backoff = new Backoff(RETRY, random);
    while (!this.#isClosed) {
      try {
        const records = await this.#recordsOf(move);
        await this.#finish(move, records);
        runner.changed();
        return;
      } catch (error) {
        onTrouble('resumed-move', error);
        await delay(clock, backoff.nextMs());
      }
    }
  }

  async #finish(move: Move, records: readonly PastRecord[]): Promise<void> {
    const { state } = this.#options.runner;
    const error = records.length === 0 ? undefined : await this.#publish(move, this.#encode(move, records));
    const isWhole = records.length === countOf(move.runs);
    // Retention took some of the records, so the batch is another one. Its sequence is used up: then all of them had been published.
    const wasPublished = !isWhole && error?.code === 'OUT_OF_ORDER_SEQUENCE';
    if (error === undefined || wasPublished) state.endMove(move.id);
    else state.cancelMove(move.id);
  }

  async #recordsOf(move: Move): Promise<PastRecord[]> {
    const { runner, clock } = this.#options;
    const runs = move.runs.flatMap(({ first, end }) =>
      runner.state
        .open(first, end - first, momentOf(clock))
        .filter((run) => run.first < end)
        .map((run) => ({ ...run, end: Math.min(run.end, end) })),
    );
    return (await findRecords(runner.batches, runs, Infinity)).records;
  }

  /** @returns why it was not published; undefined: it was @throws NOT_LEADER once closed */
  async #publish(move: Move, batch: Buffer): Promise<SluiceError | undefined> {
    const { topics, clock, random, onTrouble } = this.#options;
    const backoff = new Backoff(RETRY, random);
    for (;;) {
      // Whoever coordinates the queue from now on does it.
      if (this.#isClosed) throw notCoordinator();
      try {
        await topics.publish(move.topic, move.partition, Buffer.from(batch));
        return undefined;
      } catch (thrown) {
        const error = asSluiceError(thrown);
        if (REFUSALS.has(error.code)) return error;
        onTrouble('publish', error);
      }
      await delay(clock, backoff.nextMs());
    }
  }

  #encode(move: MoveIntent, records: readonly PastRecord[]): Buffer {
    const { topic, group, runner, encoder } = this.#options;
    // Whoever has failed may have left something.
    encoder.clear();
    for (const { offset, key, value, headers, attempts, reason, text } of records) {
      const facts = { reason: reason ?? '', text, attempts, group, topic, offset, atMs: move.atMs };
      const moved =
        move.kind === 'dead-letter'
          ? deadLetterHeaders(headers, { ...facts, partition: runner.partition })
          : replayedHeaders(headers);
      encoder.append(key, value, moved, move.atMs);
    }
    return encoder.finish({
      codec: records[0]!.codec,
      producerId: move.producerId,
      producerEpoch: 0,
      baseSequence: move.sequence,
    });
  }
}

function runsOf(records: readonly PastRecord[]): OffsetRun[] {
  const runs: { first: number; end: number }[] = [];
  for (const { offset } of records) {
    const last = runs.at(-1);
    if (last?.end === offset) last.end++;
    else runs.push({ first: offset, end: offset + 1 });
  }
  return runs;
}

function countOf(runs: readonly OffsetRun[]): number {
  return runs.reduce((count, { first, end }) => count + end - first, 0);
}
