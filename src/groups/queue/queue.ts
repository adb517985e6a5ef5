import type { Timer } from '../../kernel/clock.ts';
import { SluiceError } from '../../kernel/errors.ts';
import type { QueueSettings as WireSettings } from '../../gen/sluice/client/v1/groups_pb.ts';
import type { GroupAnswerInit, GroupQuestion } from '../api.ts';
import type { StateRecord } from '../ports.ts';
import { runToWire } from './browse.ts';
import { momentOf } from './moment.ts';
import type { PartitionRunner } from './partition-runner.ts';
import { PartitionWork } from './partition-work.ts';
import type { QueueContext } from './queue-context.ts';
import type { QueueJournal } from './queue-journal.ts';
import type { QueueRecord, QueueSettings } from './queue-settings.ts';
import { encodeQueueRecord, settingsOf } from './queue-settings.ts';
import { SettleWork, expired, settle } from './settle.ts';
import { releaseUntold } from './untold-leases.ts';
import { WaitingLine, goneError } from './waiting-line.ts';
import type { Taken } from './waiting-receive.ts';

/** No timer is longer: what waits for a date is looked at again, because the wall clock may have been set. */
const TIMER_MAX_MS = 60_000;

/** So long the log of a partition may end below where the queue is, before the queue believes it. */
const OUT_OF_RANGE_MS = 10_000;

/** What {@link Queue} needs. */
export interface QueueOptions {
  readonly context: QueueContext;
  readonly topic: string;
  readonly group: string;
  readonly record: QueueRecord;
  /** A partition's log ends below what the queue knows of it, and stays so. */
  readonly onOutOfRange: (queue: Queue, partition: number) => void;
}

/** One queue: the records of a topic, each leased to one of many consumers until it is done. */
export class Queue {
  readonly topic: string;
  readonly group: string;
  readonly #context: QueueContext;
  readonly #onOutOfRange: QueueOptions['onOutOfRange'];
  readonly #works = new Map<number, PartitionWork>();
  readonly #line: WaitingLine;
  readonly #changed = new Set<PartitionWork>();
  #runners: readonly PartitionRunner[] = [];
  #record: QueueRecord;
  #settings: QueueSettings;
  #isScheduled = false;
  #timer: Timer | undefined;
  #timerAtMs = Infinity;
  readonly #outOfRange = new Map<number, Timer>();
  #closedWith: SluiceError | undefined;

  constructor({ context, topic, group, record, onOutOfRange }: QueueOptions) {
    this.topic = topic;
    this.group = group;
    this.#context = context;
    this.#record = record;
    this.#settings = settingsOf(topic, record.given);
    this.#onOutOfRange = onOutOfRange;
    this.#line = new WaitingLine(
      context,
      () => this.#runners,
      () => {
        this.#schedule();
      },
    );
  }

  /** Id of its topic. */
  get topicId(): string {
    return this.#record.topicId;
  }

  /** What was set. */
  get given(): WireSettings {
    return this.#record.given;
  }

  get settings(): QueueSettings {
    return this.#settings;
  }

  /** Requests that wait for records. */
  get waiting(): number {
    return this.#line.length;
  }

  get isClosed(): boolean {
    return this.#closedWith !== undefined;
  }

  /** What those who ask it are told since it is closed. */
  get closedWith(): SluiceError | undefined {
    return this.#closedWith;
  }

  /** Its partitions, in order. */
  works(): PartitionWork[] {
    return [...this.#works.values()].sort((a, b) => a.runner.partition - b.runner.partition);
  }

  work(partition: number): PartitionWork | undefined {
    return this.#works.get(partition);
  }

  /** Begins to work on a partition, in place of what did so before. */
  open(partition: number, journal: QueueJournal): void {
    const { topic, group } = this;
    this.#end(partition);
    const work = new PartitionWork({
      context: this.#context,
      journal,
      topic,
      partition,
      group,
      orderedByKey: () => this.#settings.orderedByKey,
      deadLetterTopic: () => this.#settings.deadLetterTopic,
      onChange: () => {
        this.#changed.add(work);
        this.#schedule();
      },
      onOutOfRange: () => {
        this.#noteOutOfRange(partition);
      },
    });
    this.#works.set(partition, work);
    this.#context.budget.take(topic);
    this.#runners = this.works().map(({ runner }) => runner);
    journal.partition.start(momentOf(this.#context.clock), this.#context.term);
    work.resume();
    work.runner.changed();
  }

  /** Takes other settings, which hold from the next decision on, and stores them soon. */
  configure(given: WireSettings): void {
    this.#record = { ...this.#record, given };
    this.#settings = settingsOf(this.topic, given);
    for (const { runner } of this.#works.values()) runner.state.configure(this.#settings);
    this.#context.writer.put([this.stored()]);
  }

  /** How it is stored, without its partitions. */
  stored(): StateRecord {
    return { key: `q/${this.topic}/${this.group}`, value: encodeQueueRecord(this.#record) };
  }

  /** @throws INVALID_ARGUMENT, OVERLOADED, CANCELLED; NOT_LEADER; what {@link close} was given */
  async receive(
    question: GroupQuestion<'receive'>,
    signal: AbortSignal | undefined,
  ): Promise<GroupAnswerInit<'receive'>> {
    const askedMs = this.#context.clock.monotonicMs();
    const taken = await this.#line.take(question, this.#settings.leaseMs, signal);
    try {
      await this.#context.writer.stored();
    } catch (error) {
      // They may be stored, and nobody is told of them.
      releaseUntold(this.#context, this, answerOf(taken, 0, 0));
      throw error;
    }
    if (signal?.aborted) {
      this.#release(taken);
      throw goneError();
    }
    return this.#answer(stillThere(taken), question.leaseMs || this.#settings.leaseMs, askedMs);
  }

  /** Settles leases, one after the other; what is wrong with one changes nothing for the others. @throws NOT_LEADER; UNAVAILABLE: they may be settled */
  async settle({ settlements }: GroupQuestion<'settle'>): Promise<GroupAnswerInit<'settle'>> {
    const now = momentOf(this.#context.clock);
    const looked = new SettleWork();
    const results = settlements.map((settlement) => {
      const work = this.#works.get(settlement.partition);
      if (!work) return expired(`nothing of partition ${settlement.partition} is leased`);
      const unsettled = settle(work.runner.state, settlement, this.#settings, now, this.#context, looked);
      work.runner.changed();
      return unsettled ?? {};
    });
    // Asked again by somebody who does not know it, what is settled already would be refused.
    await this.#context.writer.stored('UNAVAILABLE');
    return { results };
  }

  /** Records that make the log forget the queue; it is closed then. */
  erase(): StateRecord[] {
    const records: StateRecord[] = [];
    for (const { runner } of this.#works.values())
      for (const one of runner.journal.erase()) records.push(one);
    // Last: as long as there is something of it, there is the queue.
    records.push({ key: `q/${this.topic}/${this.group}`, value: null });
    this.close(new SluiceError('QUEUE_NOT_FOUND', `queue ${this.topic}/${this.group} was deleted`));
    return records;
  }

  /** Nothing is leased, moved or stored any more. Idempotent. @param error for those who wait */
  close(error: SluiceError): void {
    this.#closedWith ??= error;
    this.#timer?.cancel();
    this.#line.close(error);
    for (const partition of [...this.#works.keys()]) this.#end(partition);
    this.#runners = [];
  }

  #end(partition: number): void {
    const work = this.#works.get(partition);
    this.#outOfRange.get(partition)?.cancel();
    this.#outOfRange.delete(partition);
    if (!work) return;
    work.close();
    this.#works.delete(partition);
    this.#context.budget.give(this.topic);
    this.#changed.delete(work);
    this.#context.writer.forget(work.runner.journal);
  }

  #schedule(): void {
    if (this.#isScheduled || this.isClosed) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      if (!this.isClosed) this.#turn();
    });
  }

  #turn(): void {
    const { clock } = this.#context;
    this.#line.serve();
    const now = momentOf(clock);
    let dueInMs = Infinity;
    for (const { deadLetters, runner } of this.#changed) {
      deadLetters.wake();
      dueInMs = Math.min(dueInMs, runner.state.nextDueInMs(now) ?? Infinity);
    }
    this.#changed.clear();
    if (dueInMs === Infinity || now.steadyMs + dueInMs >= this.#timerAtMs) return;
    this.#timer?.cancel();
    const delayMs = Math.min(Math.ceil(dueInMs), TIMER_MAX_MS);
    this.#timerAtMs = now.steadyMs + delayMs;
    this.#timer = clock.setTimer(delayMs, () => {
      this.#onTime();
    });
  }

  #onTime(): void {
    this.#timerAtMs = Infinity;
    const now = momentOf(this.#context.clock);
    for (const work of this.#works.values()) {
      const { state } = work.runner;
      const dueInMs = state.nextDueInMs(now);
      if (dueInMs === undefined) continue;
      if (dueInMs === 0) {
        this.#context.counters.expired += state.expire(now);
        work.runner.changed();
      }
      this.#changed.add(work);
    }
    this.#turn();
  }

  /** Its leases have got their time. */
  #rearm(runner: PartitionRunner): void {
    const work = this.#works.get(runner.partition);
    if (work?.runner !== runner) return;
    this.#changed.add(work);
    this.#schedule();
  }

  #noteOutOfRange(partition: number): void {
    if (this.#outOfRange.has(partition)) return;
    const timer = this.#context.clock.setTimer(OUT_OF_RANGE_MS, () => {
      this.#outOfRange.delete(partition);
      this.#onOutOfRange(this, partition);
    });
    this.#outOfRange.set(partition, timer);
  }

  #release({ batches, gaps }: Taken): void {
    for (const { runner, grant, leases } of batches) {
      for (const { first, end } of leases) runner.state.release(grant, first, end);
      runner.changed();
    }
    for (const { partition, first, end } of gaps)
      this.#works.get(partition)?.runner.gaps.push({ first, end });
  }

  #answer(taken: Taken, leaseMs: number, askedMs: number): GroupAnswerInit<'receive'> {
    const now = momentOf(this.#context.clock);
    const { counters } = this.#context;
    for (const { runner, grant, leases } of taken.batches) {
      runner.state.answered({ grant, leases }, now);
      this.#rearm(runner);
      for (const { first, end } of leases) counters.delivered += end - first;
    }
    // Rounded down: who asks has to know of no lease that it lasts longer than it does.
    return answerOf(taken, leaseMs, Math.floor(now.steadyMs - askedMs));
  }
}

/** Without what was deleted while it was being stored. */
function stillThere(taken: Taken): Taken {
  const batches = taken.batches.flatMap((one) => one.runner.stillThere(one) ?? []);
  const runners = new Set(taken.batches.map(({ runner }) => runner));
  const gaps = [...runners].flatMap((runner) => runner.takeGaps());
  return { batches, gaps: [...taken.gaps, ...gaps] };
}

function answerOf({ batches, gaps }: Taken, leaseMs: number, waitedMs: number): GroupAnswerInit<'receive'> {
  return {
    waitedMs,
    batches: batches.map(({ runner: { partition }, grant, batch, leases }) => ({
      ...{ partition, batch, grant: BigInt(grant), leaseMs },
      leases: leases.map(runToWire),
    })),
    gaps: gaps.map(({ partition, first, end }) => ({ partition, from: BigInt(first), to: BigInt(end) })),
  };
}
