import { InvalidArgumentError, Option } from 'commander';
import type { Command } from 'commander';
import type { ConnectionFlags } from '../connection.ts';

/** `-o text|json` of a command that prints a result. */
export interface OutputFlags {
  readonly output: 'text' | 'json';
}

/** Adds `-o, --output text|json`. */
export function withOutput(command: Command): Command {
  return command.addOption(
    new Option('-o, --output <format>', 'how to print the result').choices(['text', 'json']).default('text'),
  );
}

/** Adds the options that say how records are printed. */
export function withRecords(command: Command): Command {
  return command
    .addOption(
      new Option('-o, --output <format>', 'what to print').choices(['value', 'json', 'raw']).default('value'),
    )
    .option('--key-separator <text>', 'with -o value: print KEY<text>VALUE');
}

/** Adds the options that say when a command ends that goes on by itself. */
export function withEnding(command: Command): Command {
  return command
    .option('-n, --count <n>', 'stop after so many records', integer(1))
    .option('--timeout <duration>', 'stop after this long; exit code 6 when --count was not reached');
}

/** Adds the options that say which node to talk to and who asks. */
export function withConnection(command: Command): Command {
  return command
    .optionsGroup('Connection:')
    .option('--server <url>', 'quic://HOST:PORT or tls://HOST:PORT, several with commas (SLUICE_SERVER)')
    .option('--ca <file>', "authority of the server's certificate, PEM (SLUICE_CA)")
    .option('--token <token>', 'who asks: a token, or @FILE that holds one (SLUICE_TOKEN)')
    .option('--cert <file>', 'who asks: a client certificate, PEM (SLUICE_CERT)')
    .option('--key <file>', 'private key of --cert, PEM (SLUICE_KEY)')
    .optionsGroup('Options:');
}

/** Options of a command made with {@link withConnection} and {@link withOutput}. */
export type AdminFlags = ConnectionFlags & OutputFlags;

/** {@link withConnection} and {@link withOutput}. */
export function withAdmin(command: Command): Command {
  return withConnection(withOutput(command));
}

/** For options that may be given several times: collects the values. */
export function collect(value: string, previous: readonly string[] | undefined): readonly string[] {
  return [...(previous ?? []), value];
}

/** A whole number from `min` to `max`. */
export function integer(min: number, max: number = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!Number.isSafeInteger(value) || value < min || value > max) {
      throw new InvalidArgumentError(
        `It must be a whole number of at least ${min}${max < Number.MAX_SAFE_INTEGER ? ` and at most ${max}` : ''}.`,
      );
    }
    return value;
  };
}
