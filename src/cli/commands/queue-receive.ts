import type { Job, Queue } from '../../client/index.ts';
import { SluiceError } from '../../kernel/errors.ts';
import { withClient } from '../connection.ts';
import { exitInterrupted } from '../exit-codes.ts';
import type { QueueNameFlags } from './queue.ts';
import { gapNote, noteIfMissing } from '../records/reading-notes.ts';
import { printerFor } from '../records/record-format.ts';
import type { PrintFlags, RecordPrinter } from '../records/record-format.ts';
import type { Terminal } from '../terminal.ts';
import { durationOption } from '../units.ts';

/** Options of `sluice queue receive`. */
export interface QueueReceiveFlags extends QueueNameFlags, PrintFlags {
  readonly max: number;
  readonly wait: string;
  readonly lease?: string;
  readonly keep?: true;
}

/** One request waits no longer. */
const WAIT_MAX_MS = 30_000;

/**
 * Takes records of a queue, once, and prints them. They are acknowledged when they have left this process; with `--keep` they stay leased,
 * and their tokens are printed.
 *
 * @returns 130 or 143 after an interrupt @throws LEASE_EXPIRED when one could not be acknowledged
 */
export function receiveRecords(
  topic: string,
  flags: QueueReceiveFlags,
  terminal: Terminal,
): Promise<number | undefined> {
  const waitMs = durationOption('--wait', flags.wait);
  const leaseMs = flags.lease === undefined ? 0 : durationOption('--lease', flags.lease);
  const print = tokenPrinter(flags, terminal);
  const isQuiet = flags.quiet === true;
  return withClient(terminal, flags, async (client) => {
    const tellMissing = await noteIfMissing(client, topic, terminal, isQuiet);
    const queue = client.queue(topic, { group: flags.group });
    if (!isQuiet) queue.on('gap', (gap) => terminal.stderr.line(gapNote(gap)));
    const jobs = await receiveWithin(queue, { max: flags.max, leaseMs }, waitMs, terminal);
    tellMissing();
    if (terminal.interrupted.aborted) return exitInterrupted(terminal.interrupted);
    if (jobs.length === 0 && !isQuiet) {
      terminal.stderr.line(`sluice: nothing to be had${waitMs === 0 ? '; --wait 30s waits for it' : ''}`);
    }
    terminal.stdout.write(Buffer.concat(jobs.map(print)));
    // What nobody has read is given back when the consumer closes.
    if (!(await terminal.stdout.flushed())) return undefined;
    if (flags.keep === true) queue.abort();
    else await Promise.all(jobs.map((job) => job.ack()));
    return undefined;
  });
}

async function receiveWithin(
  queue: Queue,
  what: { readonly max: number; readonly leaseMs: number },
  waitMs: number,
  { clock, interrupted }: Terminal,
): Promise<Job[]> {
  const end = (): void => void queue.close();
  interrupted.addEventListener('abort', end, { once: true });
  const untilMs = clock.monotonicMs() + waitMs;
  try {
    for (;;) {
      const leftMs = Math.max(0, Math.ceil(untilMs - clock.monotonicMs()));
      const jobs = await queue.receive({ ...what, waitMs: Math.min(leftMs, WAIT_MAX_MS) });
      if (jobs.length > 0 || clock.monotonicMs() >= untilMs) return jobs;
    }
  } catch (error) {
    if (interrupted.aborted) return [];
    throw error;
  } finally {
    interrupted.removeEventListener('abort', end);
  }
}

/** With `--keep` the token belongs to it: the property `token` of JSON, or what stands before a tab. */
function tokenPrinter(flags: QueueReceiveFlags, terminal: Terminal): (job: Job) => Uint8Array {
  const print: RecordPrinter = printerFor(flags, terminal);
  if (flags.keep !== true) return (job) => print(job.record, { attempt: job.attempt });
  if (flags.output === 'raw') {
    throw new SluiceError('INVALID_ARGUMENT', '--keep needs tokens, which -o raw does not print.');
  }
  if (flags.output === 'json') return (job) => print(job.record, { attempt: job.attempt, token: job.token });
  return (job) => Buffer.concat([Buffer.from(`${job.token}\t`), print(job.record)]);
}
