import { asSluiceError } from '../../kernel/errors.ts';
import type { Trouble } from '../trouble.ts';
import { DeadLetters } from './dead-letters.ts';
import { Mover } from './mover.ts';
import type { PartitionRunnerOptions } from './partition-runner.ts';
import { PartitionRunner } from './partition-runner.ts';
import type { QueueContext } from './queue-context.ts';
import type { Moment } from './queue-event.ts';
import type { QueueJournal } from './queue-journal.ts';
import type { QueueCounts } from './queue-runs.ts';

/** What {@link PartitionWork} needs. */
export interface PartitionWorkOptions extends Pick<
  PartitionRunnerOptions,
  'topic' | 'partition' | 'orderedByKey' | 'onOutOfRange' | 'onChange'
> {
  readonly context: QueueContext;
  readonly journal: QueueJournal;
  readonly group: string;
  readonly deadLetterTopic: () => string;
}

/** All that works on one partition of a queue: who leases its records, and who moves them away. */
export class PartitionWork {
  readonly runner: PartitionRunner;
  readonly mover: Mover;
  readonly deadLetters: DeadLetters;
  #isClosed = false;

  constructor(options: PartitionWorkOptions) {
    const { context, topic, group } = options;
    const runner = new PartitionRunner({ ...context, ...options });
    const onTrouble = (work: Trouble['work'], error: unknown): void => {
      // What ends because somebody else goes on with it is no trouble.
      if (this.#isClosed) return;
      const { partition } = options;
      context.onTrouble({ work, topic, group, partition, error: asSluiceError(error) });
    };
    const moverOptions = { ...context, runner, topic, group, onTrouble };
    const mover = new Mover(moverOptions);
    this.runner = runner;
    this.mover = mover;
    this.deadLetters = new DeadLetters({
      ...moverOptions,
      mover,
      destination: options.deadLetterTopic,
      onMoved: (records) => {
        context.counters.deadLettered += records;
      },
    });
  }

  /** Does what was begun before this node coordinated the queue. */
  resume(): void {
    this.mover.resume();
    this.deadLetters.wake();
  }

  /** How many records are in which state. Dead letters that their topic refuses are on their way, not to be had. */
  counts(now: Moment): QueueCounts {
    const counts = this.runner.state.counts(now);
    const refused = this.deadLetters.refusedCount;
    return { ...counts, ready: Math.max(0, counts.ready - refused), moving: counts.moving + refused };
  }

  /** Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.runner.close();
    this.mover.close();
    this.deadLetters.close();
  }
}
