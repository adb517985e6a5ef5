/** The process behind the `sluice` command: its streams, its signals, its exit code. */
import './v8/garbage-collection.ts';
import './thread-pool.ts';
import { systemRandom } from '../kernel/random.ts';
import { holdProcess, systemClock } from '../kernel/system-clock.ts';
import { EXIT } from './exit-codes.ts';
import { runCli } from './program.ts';
import { Output } from './terminal.ts';

/** A Ctrl-C reaches this process from the terminal and again through npm or the launcher: signals this close are one. */
const SAME_SIGNAL_MS = 250;

/** What a command leaves behind may take so long to go out: the end of a connection, that is. */
const LINGER_MS = 250;

const interruption = new AbortController();
let firstSignalAt: number | undefined;
let onHangup: (() => void) | undefined;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (signal === 'SIGHUP' && onHangup !== undefined) {
      onHangup();
      return;
    }
    const now = systemClock.monotonicMs();
    firstSignalAt ??= now;
    if (now === firstSignalAt) interruption.abort(signal);
    else if (now - firstSignalAt > SAME_SIGNAL_MS) process.exit(EXIT.interrupted);
  });
}

const release = holdProcess();
const stdout = new Output(process.stdout);
const stderr = new Output(process.stderr);
const exitCode = await runCli(process.argv.slice(2), {
  env: process.env,
  folder: process.cwd(),
  get stdin() {
    return process.stdin;
  },
  stdout,
  stderr,
  clock: systemClock,
  random: systemRandom,
  interrupted: interruption.signal,
  onHangup: (callback) => {
    onHangup = callback;
  },
});
release();
await Promise.all([stdout.flushed(), stderr.flushed()]);
// The process ends by itself when the last packets have gone; what keeps it longer (a stdin that stays open) is left behind.
process.exitCode = exitCode;
systemClock.setTimer(LINGER_MS, () => process.exit(exitCode));
