import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { isUtf8 } from 'node:buffer';
import type { Readable } from 'node:stream';
import type { Job } from '../../client/index.ts';
import type { Output, Terminal } from '../terminal.ts';

/**
 * How a command ended that was run for a record: `done` with exit code 0; `failed` for a reason; `not-run` where the shell could not run it
 * (126, 127), which has nothing to do with the record; `stopped` because this process was told to end.
 */
export type CommandEnd =
  { readonly kind: 'done' | 'stopped' } | { readonly kind: 'failed' | 'not-run'; readonly reason: string };

/** A command that is told to end may take so long. */
const STOP_MS = 2000;
/** Bytes of stderr among which its last line is looked for. */
const TAIL_BYTES = 1024;
const CANNOT_RUN: readonly (number | null)[] = [126, 127];

/**
 * Runs a shell command for a record: the value on its stdin, the rest in `RECORD_…` variables; what it writes goes where this process writes.
 *
 * @param command for `/bin/sh -c`
 */
export async function runForRecord(command: string, job: Job, terminal: Terminal): Promise<CommandEnd> {
  const { folder, interrupted, stdout, stderr } = terminal;
  let child: ChildProcess;
  try {
    // A group of its own: what the shell has started ends with it.
    child = spawn('/bin/sh', ['-c', command], {
      cwd: folder,
      env: environmentOf(job, terminal),
      detached: true,
    });
  } catch (error) {
    return { kind: 'failed', reason: String(error) };
  }
  const ended = endOf(child);
  const stop = (): void => stopGroup(child, ended, terminal);
  interrupted.addEventListener('abort', stop);
  if (interrupted.aborted) stop();
  child.stdin!.on('error', () => undefined); // a command need not read it
  child.stdin!.end(job.record.value ?? undefined);
  const [end, , said] = await Promise.all([ended, pass(child.stdout!, stdout), pass(child.stderr!, stderr)]);
  interrupted.removeEventListener('abort', stop);
  if (end.code === 0) return { kind: 'done' };
  if (interrupted.aborted) return { kind: 'stopped' };
  const how =
    end.error ?? (end.code === null ? `ended by ${end.signal ?? 'a signal'}` : `exit code ${end.code}`);
  const kind = CANNOT_RUN.includes(end.code) ? 'not-run' : 'failed';
  return { kind, reason: said === '' ? how : `${how}: ${said}` };
}

interface ChildEnd {
  readonly code: number | null;
  readonly signal: string | null;
  readonly error?: string;
}

function endOf(child: ChildProcess): Promise<ChildEnd> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ code: null, signal: null, error: error.message }));
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
}

function stopGroup(child: ChildProcess, ended: Promise<ChildEnd>, { clock }: Terminal): void {
  kill(child, 'SIGTERM');
  const timer = clock.setTimer(STOP_MS, () => kill(child, 'SIGKILL'));
  void ended.then(() => timer.cancel());
}

function kill({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal);
  } catch {
    // It has ended by itself.
  }
}

/** Passes on what comes. @returns its last line that is not empty */
async function pass(from: Readable, to: Output): Promise<string> {
  let tail: Buffer = Buffer.alloc(0);
  try {
    for await (const chunk of from as AsyncIterable<Buffer>) {
      tail = Buffer.concat([tail, chunk]).subarray(-TAIL_BYTES);
      if (!to.write(chunk)) await to.drained();
    }
  } catch {
    // It was never started; the end of the child says why.
  }
  return tail.toString('utf8').trimEnd().split('\n').at(-1)!.trim();
}

function environmentOf({ record, attempt }: Job, { env }: Terminal): Record<string, string | undefined> {
  const { topic, partition, offset, key } = record;
  // What cannot be in a variable is left out.
  const isText = key !== null && isUtf8(key) && !key.includes(0);
  return {
    ...env,
    RECORD_TOPIC: topic,
    RECORD_PARTITION: String(partition),
    RECORD_OFFSET: String(offset),
    RECORD_ATTEMPT: String(attempt),
    RECORD_KEY: isText ? key.toString('utf8') : undefined,
  };
}
