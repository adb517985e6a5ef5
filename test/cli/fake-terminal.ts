import { Readable, Writable } from 'node:stream';
import { runCli } from '../../src/cli/program.ts';
import type { Terminal } from '../../src/cli/terminal.ts';
import { Output } from '../../src/cli/terminal.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { systemClock } from '../../src/kernel/system-clock.ts';

/** What a command left behind. */
export interface Run {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A stream that keeps what is written. */
export function sink(): { readonly stream: Writable; text(): string } {
  const chunks: Buffer[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, callback) {
      chunks.push(chunk);
      callback();
    },
  });
  return { stream, text: () => Buffer.concat(chunks).toString() };
}

/** A terminal without people: nothing to read, nobody interrupts. */
export function fakeTerminal(overrides: Partial<Terminal>): Terminal {
  return {
    env: {},
    folder: '/nonexistent',
    stdin: Readable.from([]),
    stdout: new Output(sink().stream),
    stderr: new Output(sink().stream),
    clock: systemClock,
    random: systemRandom,
    interrupted: new AbortController().signal,
    onHangup: () => undefined,
    ...overrides,
  };
}

/** Runs one command line in this process. */
export async function runHere(argv: readonly string[], overrides: Partial<Terminal> = {}): Promise<Run> {
  const out = sink();
  const err = sink();
  const terminal = fakeTerminal({
    ...overrides,
    stdout: new Output(out.stream),
    stderr: new Output(err.stream),
  });
  const exitCode = await runCli(argv, terminal);
  return { exitCode, stdout: out.text(), stderr: err.text() };
}
