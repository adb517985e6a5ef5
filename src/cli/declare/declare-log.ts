import type { Command } from 'commander';
import { integer, withOutput } from './declare-options.ts';
import type { Declare } from './declare.ts';
import type { DumpFlags } from '../commands/log-dump.ts';
import type { VerifyFlags } from '../commands/log-verify.ts';

/** Declares `log …`: commands that read a stopped node's files. */
export const declareLogCommands: Declare = (program, run, terminal) => {
  const log = program.command('log').description("Look at the files of a stopped node's topics on disk.");
  files(log.command('verify').description('Check every batch, index and snapshot; exit code 7 for damage.'))
    .option('--topic <name>', 'only of this topic: name or id')
    .option('--partition <n>', 'only of these partitions', integer(0, 65_535))
    .action((flags: VerifyFlags) =>
      run(async () => (await import('../commands/log-verify.ts')).verifyLogs(flags, terminal)),
    );
  files(log.command('dump').description('Print batches, or records, of a partition.'))
    .argument('<topic>', 'name or id')
    .argument('<partition>', 'number', integer(0, 65_535))
    .option('--from <offset>', 'begin with the batch, or the record, at or behind this offset', integer(0))
    .option('--count <n>', 'stop after so many', integer(1))
    .option('--records', 'print records; else batches')
    .action((topic: string, partition: number, flags: DumpFlags) =>
      run(async () => (await import('../commands/log-dump.ts')).dumpLog(topic, partition, flags, terminal)),
    );
};

function files(command: Command): Command {
  return withOutput(command)
    .option('--data <dir>', 'everything the node keeps (default: ./sluice-data)')
    .option('--config <file>', "the node's settings, which say where that is");
}
