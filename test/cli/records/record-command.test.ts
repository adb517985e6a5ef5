import { describe, expect, it } from 'vitest';
import { runForRecord } from '../../../src/cli/records/record-command.ts';
import { Output } from '../../../src/cli/terminal.ts';
import type { Terminal } from '../../../src/cli/terminal.ts';
import type { Job } from '../../../src/client/index.ts';
import { fakeTerminal, sink } from '../fake-terminal.ts';

function jobOf(change: { key?: Buffer | null; value?: Buffer | null } = {}): Job {
  const record = {
    topic: 'jobs',
    partition: 3,
    offset: 17,
    key: null,
    value: Buffer.from('work'),
    ...change,
  };
  return { record, attempt: 2 } as unknown as Job;
}

async function run(command: string, job: Job = jobOf(), overrides: Partial<Terminal> = {}) {
  const [out, err] = [sink(), sink()];
  const streams = { stdout: new Output(out.stream), stderr: new Output(err.stream) };
  const terminal = fakeTerminal({ env: process.env, folder: '/', ...streams, ...overrides });
  const end = await runForRecord(command, job, terminal);
  await streams.stdout.flushed();
  return { end, stdout: out.text(), stderr: err.text() };
}

describe('a command that is run for a record', () => {
  it('has the value on its stdin, and its output is passed on', async () => {
    expect(await run('tr a-z A-Z; echo note >&2')).toEqual({
      end: { kind: 'done' },
      stdout: 'WORK',
      stderr: 'note\n',
    });
  });

  it('knows where the record lies, its key and its attempt', async () => {
    const command = 'echo "$RECORD_TOPIC $RECORD_PARTITION $RECORD_OFFSET $RECORD_ATTEMPT $RECORD_KEY"';
    expect((await run(command, jobOf({ key: Buffer.from('k 1') }))).stdout).toBe('jobs 3 17 2 k 1\n');
  });

  it.each([null, Buffer.from([255]), Buffer.from('a\0b')])(
    'has no key that cannot be in a variable: %j',
    async (key) => {
      expect((await run('echo "${RECORD_KEY-none}"', jobOf({ key }))).stdout).toBe('none\n');
    },
  );

  it('has nothing on its stdin for a tombstone, and need not read it', async () => {
    expect((await run('cat; echo end', jobOf({ value: null }))).stdout).toBe('end\n');
    const large = jobOf({ value: Buffer.alloc(1024 * 1024) });
    expect((await run('exit 0', large)).end).toEqual({ kind: 'done' });
  });

  it('fails with its exit code and the last line it has said', async () => {
    const { end } = await run('echo first >&2; echo "no such customer" >&2; echo >&2; exit 3');
    expect(end).toEqual({ kind: 'failed', reason: 'exit code 3: no such customer' });
    expect((await run('exit 1')).end).toEqual({ kind: 'failed', reason: 'exit code 1' });
    expect((await run('kill -9 $$')).end).toEqual({ kind: 'failed', reason: 'ended by SIGKILL' });
  });

  it('is told apart from one that cannot be run at all', async () => {
    expect((await run('no-such-command-here')).end).toMatchObject({ kind: 'not-run' });
  });

  it('fails where there is no such folder to run it in', async () => {
    expect((await run('true', jobOf(), { folder: '/nonexistent' })).end).toMatchObject({ kind: 'failed' });
  });

  it('is ended, with all that it has started, when this process is told to end', async () => {
    const interruption = new AbortController();
    const out = sink();
    const stdout = new Output(out.stream);
    const write = stdout.write.bind(stdout);
    stdout.write = (data) => {
      interruption.abort('SIGINT');
      return write(data);
    };
    const { end } = await run('sleep 600 & echo begun; wait', jobOf(), {
      interrupted: interruption.signal,
      stdout,
    });
    expect(end).toEqual({ kind: 'stopped' });
  });

  it('is ended by force when it does not listen', async () => {
    const interruption = new AbortController();
    interruption.abort('SIGINT');
    const clock = { now: () => 0, monotonicMs: () => 0, setTimer: later };
    const { end } = await run('trap "" TERM; while :; do sleep 1; done', jobOf(), {
      interrupted: interruption.signal,
      clock,
    });
    expect(end).toEqual({ kind: 'stopped' });
  });
});

/** A clock on which everything is due at once. */
function later(_ms: number, callback: () => void): { cancel(): void } {
  const timer = setImmediate(callback);
  return { cancel: () => clearImmediate(timer) };
}
