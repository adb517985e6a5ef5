import type { Command } from 'commander';
import { Option } from 'commander';
import { collect, integer, withConnection, withOutput } from './declare-options.ts';
import type { AdminFlags } from './declare-options.ts';
import type { Declare } from './declare.ts';
import type { StatusFlags } from '../commands/status.ts';
import type { TokenCreateFlags } from '../commands/token.ts';
import type { DeleteRecordsFlags, TopicCreateFlags, TopicFlags, TopicListFlags } from '../commands/topic.ts';

/** Declares `topic …`, `status` and `token …`. */
export const declareAdminCommands: Declare = (program, run, terminal) => {
  const topic = program.command('topic').description('Create, list, describe, alter and delete topics.');
  const topics = () => import('../commands/topic.ts');
  topicSettings(
    topic
      .command('create')
      .description('Create a topic.')
      .argument('<name>')
      .addOption(
        new Option('--storage <kind>', 'where records are kept; cannot change later').choices([
          'memory',
          'disk',
        ]),
      ),
  )
    .option('--if-not-exists', 'no error when it exists already')
    .action((name: string, flags: TopicCreateFlags) =>
      run(async () => (await topics()).createTopic(name, flags, terminal)),
    );
  admin(topic.command('list').description('List topics.'))
    .option('--internal', "also names that start with '__'")
    .action((flags: TopicListFlags) => run(async () => (await topics()).listTopics(flags, terminal)));
  admin(
    topic.command('describe').description('Show settings and partitions of a topic.').argument('<name>'),
  ).action((name: string, flags: AdminFlags) =>
    run(async () => (await topics()).describeTopic(name, flags, terminal)),
  );
  topicSettings(
    topic
      .command('alter')
      .description('Change settings; partitions can only grow, and the storage stays what it is.')
      .argument('<name>'),
  ).action((name: string, flags: TopicFlags) =>
    run(async () => (await topics()).alterTopic(name, flags, terminal)),
  );
  admin(
    topic.command('delete').description('Delete topics and all their records.').argument('<name...>'),
  ).action((names: string[], flags: AdminFlags) =>
    run(async () => (await topics()).deleteTopics(names, flags, terminal)),
  );
  admin(
    topic
      .command('delete-records')
      .description('Delete the oldest records of a topic for ever.')
      .argument('<name>')
      .requiredOption(
        '--before <position>',
        'first record that stays: an offset, a time (RFC 3339), an age like 15m, or latest: none stays',
      )
      .option('--partition <n>', 'only of this partition', integer(0, 65_535)),
  ).action((name: string, flags: DeleteRecordsFlags) =>
    run(async () => (await topics()).deleteRecords(name, flags, terminal)),
  );
  declareStatus(program, run, terminal);
  declareToken(program, run, terminal);
};

const declareStatus: Declare = (program, run, terminal) => {
  admin(
    program.command('status').description('Show the node, its topics, and every subscription with its lag.'),
  )
    .option('--watch', 'print again every two seconds until Ctrl-C')
    .action((flags: StatusFlags) =>
      run(async () => (await import('../commands/status.ts')).status(flags, terminal)),
    );
};

const declareToken: Declare = (program, run, terminal) => {
  const token = program.command('token').description('Create, list and revoke tokens.');
  const tokens = () => import('../commands/token.ts');
  admin(token.command('create').description('Create a token for a principal.').argument('<principal>'))
    .requiredOption(
      '--grant <topics:rights>',
      "topic pattern ('*' is any run of characters) and publish, subscribe, admin (repeatable)",
      collect,
    )
    .option('--expires <duration>', 'for instance 30d; default: never')
    .action((principal: string, flags: TokenCreateFlags) =>
      run(async () => (await tokens()).createToken(principal, flags, terminal)),
    );
  admin(token.command('list').description('List tokens, without their secrets.')).action(
    (flags: AdminFlags) => run(async () => (await tokens()).listTokens(flags, terminal)),
  );
  admin(
    token.command('revoke').description('Revoke tokens; takes effect at once.').argument('<id...>'),
  ).action((ids: string[], flags: AdminFlags) =>
    run(async () => (await tokens()).revokeTokens(ids, flags, terminal)),
  );
};

function admin(command: Command): Command {
  return withConnection(withOutput(command));
}

function topicSettings(command: Command): Command {
  return admin(
    command
      .option('--partitions <n>', 'number of partitions', integer(1, 65_536))
      .option(
        '--retention-bytes <size>',
        'keep at most so much per partition, for instance 256MiB; on disk 0: no bound',
      )
      .option('--retention <duration>', 'keep records for so long, for instance 1h; 0: no bound')
      .option(
        '--retention-records <n>',
        'keep at most so many records per partition; 0: no bound',
        integer(0),
      )
      .option('--batch-max-bytes <size>', 'largest record batch')
      .addOption(
        new Option('--timestamps <kind>', "the producer's time or the node's").choices(['create', 'append']),
      )
      .addOption(
        new Option('--flush <when>', 'on disk: when a record counts as stored').choices([
          'always',
          'interval',
          'os',
        ]),
      )
      .option('--flush-interval <duration>', 'with --flush interval, for instance 1s')
      .addOption(
        new Option('--cleanup <kind>', 'what goes: by retention, or all but the latest of each key').choices([
          'delete',
          'compact',
          'compact,delete',
        ]),
      )
      .option('--tombstone-retention <duration>', 'how long compaction keeps what deletes a key')
      .option('--replication-factor <n>', 'nodes that keep a copy of each partition', integer(1, 16))
      .option(
        '--min-insync <n>',
        'copies that have to be in sync for a publish that waits for all of them',
        integer(1, 16),
      )
      .option(
        '--unclean-election',
        'a copy that was not in sync may lead when no other is left; loses acknowledged records',
      )
      .option('--no-unclean-election', 'only copies that were in sync may lead'),
  );
}
