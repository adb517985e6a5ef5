import { Option } from 'commander';
import type { Command } from 'commander';
import type { SettlementName } from '../../client/index.ts';
import { integer, withAdmin, withConnection, withEnding, withRecords } from './declare-options.ts';
import type { AdminFlags } from './declare-options.ts';
import type { Declare } from './declare.ts';
import type { QueueConsumeFlags } from '../commands/queue-consume.ts';
import type { QueueReceiveFlags } from '../commands/queue-receive.ts';
import type { QueueSettleFlags } from '../commands/queue-settle.ts';
import type { QueueConfigureFlags, QueueFlags, QueuePeekFlags } from '../commands/queue.ts';

/** Declares `queue …`. */
export const declareQueueCommands: Declare = (program, run, terminal) => {
  const queue = program
    .command('queue')
    .description(
      'Lease the records of a topic one by one to whoever takes them; look at and configure that.',
    );
  declareAdministration(queue, run, terminal);
  declareConsumers(queue, run, terminal);
  declareSettlements(queue, run, terminal);
};

const declareAdministration: Declare = (queue, run, terminal) => {
  const queues = () => import('../commands/queue.ts');
  withAdmin(queue.command('list').description('List queues.')).action((flags: AdminFlags) =>
    run(async () => (await queues()).listQueues(flags, terminal)),
  );
  ofGroup(
    withAdmin(
      queue
        .command('describe')
        .description('Show settings, and what is ready, leased and delayed.')
        .argument('<topic>'),
    ),
  ).action((topic: string, flags: QueueFlags) =>
    run(async () => (await queues()).describeQueue(topic, flags, terminal)),
  );
  ofGroup(withAdmin(settings(queue.command('configure').alias('create').argument('<topic>')))).action(
    (topic: string, flags: QueueConfigureFlags) =>
      run(async () => (await queues()).configureQueue(topic, flags, terminal)),
  );
  ofGroup(
    withAdmin(
      queue
        .command('delete')
        .description('Forget what of a topic is done, leased and waits; its records stay.')
        .argument('<topic>'),
    ),
  ).action((topic: string, flags: QueueFlags) =>
    run(async () => (await queues()).deleteQueue(topic, flags, terminal)),
  );
  ofGroup(
    withAdmin(
      queue
        .command('peek')
        .description('Show records that are not done, without leasing them.')
        .argument('<topic>')
        .option('--max <n>', 'show at most so many', integer(1, 10_000), 10),
    ),
  ).action((topic: string, flags: QueuePeekFlags) =>
    run(async () => (await queues()).peekQueue(topic, flags, terminal)),
  );
};

const declareConsumers: Declare = (queue, run, terminal) => {
  ofGroup(
    records(
      queue
        .command('receive')
        .description('Take records once, print them, and acknowledge them.')
        .argument('<topic>')
        .option('-n, --max <n>', 'take at most so many', integer(1, 10_000), 1)
        .option('--wait <duration>', 'wait so long for the first', '0')
        .option('--keep', 'leave them leased, and print their tokens for queue ack, nack, reject, …'),
    ),
  ).action((topic: string, flags: QueueReceiveFlags) =>
    run(async () => (await import('../commands/queue-receive.ts')).receiveRecords(topic, flags, terminal)),
  );
  ofGroup(
    withEnding(
      records(
        queue
          .command('consume')
          .description('Consume: print each record and acknowledge it, or run a command for each.')
          .argument('<topic>')
          .option(
            '--exec <command>',
            'run this in a shell for each record, its value on stdin: exit code 0 acknowledges, others give back',
          )
          .option('--concurrency <n>', 'with --exec: commands at once (default: 1)', integer(1, 1000)),
      ),
    ),
  ).action((topic: string, flags: QueueConsumeFlags) =>
    run(async () => (await import('../commands/queue-consume.ts')).consumeQueue(topic, flags, terminal)),
  );
};

const declareSettlements: Declare = (queue, run, terminal) => {
  const declare = (how: SettlementName, description: string, more: (command: Command) => Command): void => {
    const command = queue
      .command(how)
      .description(description)
      .argument('<topic>')
      .argument('<token...>', 'as queue receive --keep prints them');
    ofGroup(withAdmin(more(command))).action((topic: string, tokens: string[], flags: QueueSettleFlags) =>
      run(async () =>
        (await import('../commands/queue-settle.ts')).settleRecords(how, topic, tokens, flags, terminal),
      ),
    );
  };
  const reason = (command: Command): Command =>
    command.option('--reason <text>', 'for people; stands in the dead letter');
  declare('ack', 'Records are done.', (command) => command);
  declare('nack', 'Records failed: they are delivered again, or become dead letters.', (command) =>
    reason(command.option('--delay <duration>', "not before so long (default: the queue's backoff)")),
  );
  declare('reject', 'Records will never do: they become dead letters, a moment later.', reason);
  declare('extend', 'Keep records leased for longer, from now on.', (command) =>
    command.option('--lease <duration>', "default: the queue's lease time"),
  );
  declare('release', 'Give records back as if they had not been received.', (command) => command);
};

function ofGroup(command: Command): Command {
  return command.option('--group <name>', 'the queue: each group has all records', 'default');
}

function records(command: Command): Command {
  return withConnection(
    withRecords(
      command.option('--lease <duration>', "how long a record is ours (default: the queue's lease time)"),
    ).option('--quiet', 'no notes on stderr'),
  );
}

function settings(command: Command): Command {
  return command
    .description('Make a queue, or change settings of one; topics are queues without it too.')
    .option('--lease <duration>', "how long a record is its consumer's, 10ms to 12h (default: 30s)")
    .option(
      '--max-attempts <n>',
      'deliveries before a record becomes a dead letter; 0: without end (default: 5)',
      integer(0, 1000),
    )
    .option('--backoff <duration>', 'before the second delivery; doubles for each after it (default: 1s)')
    .option('--max-backoff <duration>', 'at most (default: 1m)')
    .addOption(new Option('--ordered-by-key', 'a record waits until the one before it of its key is done'))
    .addOption(new Option('--no-ordered-by-key', 'it does not (default)').default(undefined))
    .option('--dead-letter-topic <name>', 'default: dlq.<topic>')
    .option(
      '--from <start>',
      'where a new queue begins: earliest, latest, an offset, a time, or an age (default: earliest)',
    );
}
