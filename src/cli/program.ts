import { Command, CommanderError } from 'commander';
import { readFileSync } from 'node:fs';
import { declareAdminCommands } from './declare/declare-admin.ts';
import { declareClusterCommands } from './declare/declare-cluster.ts';
import { declareDataCommands } from './declare/declare-data.ts';
import { declareGroupCommands } from './declare/declare-groups.ts';
import { declareLogCommands } from './declare/declare-log.ts';
import { declareNodeCommands } from './declare/declare-node.ts';
import { declareQueueCommands } from './declare/declare-queues.ts';
import type { Declare } from './declare/declare.ts';
import { examplesFor } from './examples.ts';
import { EXIT } from './exit-codes.ts';
import { describeFailure } from './failure.ts';
import type { Terminal } from './terminal.ts';

const EXIT_CODE_HELP = `
Exit codes: 0 ok, 1 error, 2 usage, 3 cannot connect, 4 refused, 5 not found, 6 not complete, 7 damaged, 8 exists,
130 interrupted.
Environment: SLUICE_SERVER, SLUICE_CA, SLUICE_TOKEN, SLUICE_CERT, SLUICE_KEY; for serve, every setting (sluice config reference).

Begin with:
  sluice serve                          start a node here
  sluice pub greetings hello            publish a record, in another terminal
  sluice sub greetings --from earliest  and read it`;

const COMMANDS: readonly Declare[] = [
  declareNodeCommands,
  declareDataCommands,
  declareAdminCommands,
  declareGroupCommands,
  declareQueueCommands,
  declareClusterCommands,
  declareLogCommands,
];

/**
 * The whole command line: parses `argv` (without program name), runs one command, writes errors to stderr as one line.
 *
 * @returns the exit code; see {@link EXIT}
 */
export async function runCli(argv: readonly string[], terminal: Terminal): Promise<number> {
  let exitCode: number = EXIT.ok;
  const program = new Command('sluice');
  program
    .description('Publish/subscribe over QUIC: every subscription on its own stream, at its own pace.')
    .version(version(), '-V, --version', 'print the version')
    .helpCommand('help [command]', 'show help for a command')
    .addHelpText('after', EXIT_CODE_HELP);
  const run = async (command: () => Promise<unknown>): Promise<void> => {
    const result = await command();
    exitCode = typeof result === 'number' ? result : EXIT.ok;
  };
  for (const declare of COMMANDS) declare(program, run, terminal);
  for (const command of family(program)) {
    tame(command, terminal);
    command.addHelpText('after', examplesFor(command));
  }
  try {
    await program.parseAsync(argv, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    const failure = describeFailure(error);
    terminal.stderr.line(failure.line);
    return failure.exitCode;
  }
}

/** The version of this package. */
export function version(): string {
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return manifest.version;
}

function family(command: Command): Command[] {
  return [command, ...command.commands.flatMap(family)];
}

/** Commander never exits the process, writes where we write, and says what is wrong in our form. */
function tame(command: Command, terminal: Terminal): void {
  command.exitOverride();
  command.configureHelp({ showGlobalOptions: false });
  command.configureOutput({
    writeOut: (text) => void terminal.stdout.write(text),
    writeErr: (text) => void terminal.stderr.write(text),
    getOutHelpWidth: () => terminal.stdout.columns ?? 100,
    getErrHelpWidth: () => terminal.stderr.columns ?? 100,
    outputError: (text, write) => {
      const what = text
        .replace(/^error: /, '')
        .replaceAll(/\s*\n\s*/g, ' ')
        .trim()
        .replace(
          /^unknown command '(publish|subscribe)'$/,
          (unknown, name: string) => `${unknown} (Did you mean ${name.slice(0, 3)}?)`,
        );
      write(`sluice: INVALID_ARGUMENT: ${what.replace(/\.$/, '')}. Run: ${commandLine(command)} --help\n`);
    },
  });
}

function commandLine(command: Command): string {
  return command.parent === null ? command.name() : `${commandLine(command.parent)} ${command.name()}`;
}
