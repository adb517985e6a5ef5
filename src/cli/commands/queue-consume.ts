import type { Job, Queue } from '../../client/index.ts';
import { SluiceError } from '../../kernel/errors.ts';
import { quantity } from '../../kernel/quantity.ts';
import { withClient } from '../connection.ts';
import { Ending } from '../ending.ts';
import type { EndingFlags } from '../ending.ts';
import type { QueueNameFlags } from './queue.ts';
import { gapNote, noteConnection, noteIfMissing } from '../records/reading-notes.ts';
import { runForRecord } from '../records/record-command.ts';
import { printerFor } from '../records/record-format.ts';
import type { PrintFlags, RecordPrinter } from '../records/record-format.ts';
import { placeText } from '../records/record-text.ts';
import type { Terminal } from '../terminal.ts';
import { durationOption } from '../units.ts';

/** Options of `sluice queue consume`. */
export interface QueueConsumeFlags extends QueueNameFlags, EndingFlags, PrintFlags {
  readonly exec?: string;
  readonly concurrency?: number;
  readonly lease?: string;
}

/**
 * Consumes a queue until the count is reached, time is up, or somebody interrupts: prints each record and acknowledges it, or runs a command
 * for each, whose exit code says whether it is done.
 *
 * @returns the exit code; see {@link Ending.run} @throws what the node refuses; INVALID_ARGUMENT when the command cannot be run
 */
export function consumeQueue(
  topic: string,
  flags: QueueConsumeFlags,
  terminal: Terminal,
): Promise<number | undefined> {
  const ending = new Ending(flags, terminal);
  const { exec, concurrency = 1, group } = flags;
  if (exec === undefined && flags.concurrency !== undefined) {
    throw new SluiceError('INVALID_ARGUMENT', '--concurrency needs --exec.');
  }
  if (exec !== undefined && (flags.output !== 'value' || flags.keySeparator !== undefined)) {
    throw new SluiceError(
      'INVALID_ARGUMENT',
      '--exec prints what its commands print: leave -o and --key-separator out.',
    );
  }
  const print = printerFor(flags, terminal);
  const options = {
    group,
    ...(flags.lease !== undefined && { leaseMs: durationOption('--lease', flags.lease) }),
    // A command may take its time: what waits for one here would wait elsewhere with a chance.
    ...(exec !== undefined && { credit: concurrency }),
  };
  return withClient(terminal, flags, async (client) => {
    const isQuiet = flags.quiet === true;
    const tellMissing = await noteIfMissing(client, topic, terminal, isQuiet);
    const queue = client.queue(topic, options);
    if (!isQuiet) {
      noteConnection(client, terminal);
      note(queue, terminal);
    }
    tellMissing();
    if (exec === undefined) {
      return ending.run(
        () => void queue.close(),
        () => printRecords(queue, flags.count, print, terminal),
      );
    }
    const commands = new Commands(queue, exec, terminal, isQuiet);
    return ending.run(
      () => commands.stop(),
      () => commands.run(concurrency, flags.count),
    );
  });
}

/** Acknowledges what has left this process. @returns how many */
async function printRecords(
  queue: Queue,
  limit: number | undefined,
  print: RecordPrinter,
  { stdout }: Terminal,
): Promise<number> {
  let printed = 0;
  for await (const job of queue) {
    stdout.write(print(job.record, { attempt: job.attempt }));
    if (!(await stdout.flushed())) {
      void job.release();
      break;
    }
    void job.ack();
    printed += 1;
    if (printed === limit) break;
  }
  return printed;
}

/** Runs a command for each record of a queue. */
class Commands {
  readonly #queue: Queue;
  readonly #command: string;
  readonly #terminal: Terminal;
  readonly #isQuiet: boolean;
  readonly #over = new AbortController();
  #begun = 0;
  #done = 0;
  #failed = 0;
  #notRun: string | undefined;

  constructor(queue: Queue, command: string, terminal: Terminal, isQuiet: boolean) {
    this.#queue = queue;
    this.#command = command;
    this.#terminal = terminal;
    this.#isQuiet = isQuiet;
  }

  /** @returns for how many records a command has ended @throws INVALID_ARGUMENT when it cannot be run */
  async run(concurrency: number, limit: number | undefined): Promise<number> {
    const options = { concurrency, signal: this.#over.signal };
    await this.#queue.process((job) => this.#take(job, limit), options);
    const { stderr } = this.#terminal;
    if (!this.#isQuiet) {
      stderr.line(`sluice: ${quantity(this.#done, 'record')} done, ${this.#failed} given back`);
    }
    if (this.#notRun !== undefined) {
      throw new SluiceError(
        'INVALID_ARGUMENT',
        `--exec: ${this.#notRun}. The record was given back as it was.`,
      );
    }
    return this.#done + this.#failed;
  }

  /** No command begins any more; {@link run} resolves when those that run have ended. */
  stop(): void {
    this.#over.abort();
  }

  async #take(job: Job, limit: number | undefined): Promise<void> {
    if (this.#over.signal.aborted || this.#begun === limit) {
      void job.release();
      return;
    }
    this.#begun += 1;
    const end = await runForRecord(this.#command, job, this.#terminal);
    switch (end.kind) {
      case 'done':
        this.#done += 1;
        void job.ack();
        break;
      case 'failed':
        this.#failed += 1;
        void job.nack({ reason: end.reason });
        this.#note(job, end.reason);
        break;
      case 'not-run':
        this.#notRun ??= end.reason;
        void job.release();
        this.stop();
        break;
      case 'stopped':
        void job.release();
    }
    if (this.#begun === limit) this.stop();
  }

  #note({ record, attempt }: Job, reason: string): void {
    if (this.#isQuiet) return;
    this.#terminal.stderr.line(
      `sluice: ${record.topic} ${placeText(record)}, attempt ${attempt}: ${reason}; given back`,
    );
  }
}

function note(queue: Queue, { stderr }: Terminal): void {
  queue.on('gap', (gap) => stderr.line(gapNote(gap)));
  queue.on('unsettled', ({ partition, first, end, error }) => {
    const which =
      end - first === 1 ? `record ${partition}:${first}` : `records ${partition}:${first} to ${end - 1}`;
    stderr.line(`sluice: ${queue.topic} ${which} may be delivered again (${error.code}: ${error.message})`);
  });
}
