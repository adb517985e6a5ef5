import { Option } from 'commander';
import type { Command } from 'commander';
import { SluiceError } from '../../kernel/errors.ts';
import { collect, integer, withConnection, withEnding, withOutput, withRecords } from './declare-options.ts';
import type { BenchFlags } from '../commands/bench.ts';
import type { Declare } from './declare.ts';
import type { PubFlags } from '../commands/pub.ts';
import type { SubGroupFlags } from '../commands/sub-group.ts';
import type { SubFlags } from '../commands/sub.ts';

/** Declares `pub`, `sub` and `bench`. */
export const declareDataCommands: Declare = (program, run, terminal) => {
  declarePub(program).action((address: string, values: string[], flags: PubFlags) =>
    run(async () => (await import('../commands/pub.ts')).pub(address, values, flags, terminal)),
  );
  declareSub(program).action((filter: string, flags: SubFlags & Partial<SubGroupFlags>) =>
    run(async () => {
      const { group, instanceId } = flags;
      if (group !== undefined) {
        return (await import('../commands/sub-group.ts')).subGroup(filter, { ...flags, group }, terminal);
      }
      if (instanceId !== undefined) throw new SluiceError('INVALID_ARGUMENT', '--instance-id needs --group.');
      return (await import('../commands/sub.ts')).sub(filter, flags, terminal);
    }),
  );
  declareBench(program).action((flags: BenchFlags) =>
    run(async () => (await import('../commands/bench.ts')).bench(flags, terminal)),
  );
};

function declarePub(program: Command): Command {
  const command = program
    .command('pub')
    .description('Publish records: arguments, files, or lines of stdin.')
    .argument('<topic[/key]>', 'topic, and the key of records that bring none')
    .argument('[value...]', "one record each; '-' or nothing: lines of stdin")
    .option('-f, --file <file>', 'publish the lines of a file (repeatable)', collect)
    .option('--whole-file', 'each --file is one record')
    .option('--key-field <field>', 'lines are JSON objects: take the key from this field')
    .option('--value-field <field>', 'lines are JSON objects: take the value from this field')
    .option('--key-separator <text>', 'lines are KEY<text>VALUE')
    .option('--tombstone', 'publish a record without value: marks the key as deleted')
    .option('-H, --header <name=value>', 'add a header to every record (repeatable)', collect)
    .option('--partition <n>', 'default: by the hash of the key', integer(0))
    .addOption(compression())
    .addOption(acks())
    .option(
      '--deliver-at <time>',
      'queues do not deliver it before: a time (RFC 3339), or a duration from now (15m)',
    )
    .option('--ttl <duration>', 'queues do not deliver it later than this, from now or from --deliver-at on')
    .option('--quiet', 'no progress, no summary');
  return withConnection(withOutput(command));
}

function declareSub(program: Command): Command {
  const command = program
    .command('sub')
    .description('Subscribe, and print records as they come.')
    .argument('<filter>', "topic, topic/key-filter ('+' and '#'), 'prices.*', '+' for any topic")
    .option(
      '--from <start>',
      'earliest, latest, last-per-key, an offset, a time (RFC 3339), or an age (15m); with --group: where a new group begins',
      'latest',
    )
    .option(
      '--group <name>',
      'as a member of a consumer group: share its partitions, and commit what was printed',
    )
    .option('--instance-id <name>', 'with --group: who comes back with it soon has its partitions still');
  withEnding(withRecords(command))
    .addOption(
      new Option('--delivery <mode>', 'how it travels')
        .choices(['ordered', 'unordered', 'datagram'])
        .default('ordered'),
    )
    .addOption(
      new Option('--on-gap <policy>', 'when records are gone').choices(['skip', 'end']).default('skip'),
    )
    .option('--urgency <n>', '0 (first) to 7 (last) among the subscriptions of a connection', integer(0, 7))
    .option('--name <name>', "shown in 'sluice status'")
    .option('--quiet', 'no notes on stderr');
  return withConnection(command);
}

function declareBench(program: Command): Command {
  const command = program
    .command('bench')
    .description('Load a node for a moment: publish, subscribe, print rates and latencies.')
    .option('--records <n>', 'records to publish', integer(1), 200_000)
    .option('--size <bytes>', 'size of a value', integer(8, 1024 * 1024), 128)
    .option('--rate <n>', 'records per second; default: as fast as it goes', integer(1))
    .option('--subscribers <n>', 'each on its own connection', integer(0, 1000), 1)
    .option('--partitions <n>', 'of the topic', integer(1, 1024), 1)
    .addOption(compression())
    .addOption(acks())
    .option('--topic <name>', 'default: a new one, deleted at the end');
  return withConnection(withOutput(command));
}

function compression(): Option {
  return new Option('--compression <codec>', 'of the batches')
    .choices(['none', 'gzip', 'zstd'])
    .default('none');
}

function acks(): Option {
  return new Option('--acks <level>', 'what to wait for').choices(['none', 'leader', 'all']).default('all');
}
