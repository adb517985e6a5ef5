import type { ConnectionFlags } from '../connection.ts';
import { integer, withAdmin, withConnection } from './declare-options.ts';
import type { AdminFlags } from './declare-options.ts';
import type { Declare } from './declare.ts';
import type { DlqListFlags, DlqReplayFlags } from '../commands/dlq.ts';
import type { GroupResetFlags } from '../commands/group.ts';

const RECORD = 'PARTITION:OFFSET, as sluice dlq list shows it';

/** Declares `group …` and `dlq …`. */
export const declareGroupCommands: Declare = (program, run, terminal) => {
  const group = program
    .command('group')
    .description('Look at consumer groups, set where they go on, delete them; members: sub --group.');
  const groups = () => import('../commands/group.ts');
  withAdmin(group.command('list').description('List consumer groups.')).action((flags: AdminFlags) =>
    run(async () => (await groups()).listGroups(flags, terminal)),
  );
  withAdmin(
    group
      .command('describe')
      .description('Show members, what they read, committed offsets and lag.')
      .argument('<group>'),
  ).action((name: string, flags: AdminFlags) =>
    run(async () => (await groups()).describeGroup(name, flags, terminal)),
  );
  withAdmin(
    group
      .command('reset')
      .description('Set where a group without members goes on in a topic.')
      .argument('<group>')
      .argument('<topic>')
      .requiredOption('--to <position>', 'earliest, latest, an offset, a time (RFC 3339), or an age like 15m')
      .option('--partition <n>', 'only of this partition', integer(0, 65_535)),
  ).action((name: string, topic: string, flags: GroupResetFlags) =>
    run(async () => (await groups()).resetGroup(name, topic, flags, terminal)),
  );
  withAdmin(
    group
      .command('delete')
      .description('Forget groups without members and what they have committed.')
      .argument('<group...>'),
  ).action((names: string[], flags: AdminFlags) =>
    run(async () => (await groups()).deleteGroups(names, flags, terminal)),
  );
  declareDlq(program, run, terminal);
};

const declareDlq: Declare = (program, run, terminal) => {
  const dlq = program
    .command('dlq')
    .description('Look at dead letters, which queues gave up; send them back, delete them.');
  const letters = () => import('../commands/dlq.ts');
  withAdmin(
    dlq
      .command('list')
      .description('List the dead letters of a topic, or the topics that have some.')
      .argument('[topic]', 'the topic they came from')
      .option('--max <n>', 'show at most so many', integer(1, 10_000), 100),
  ).action((topic: string | undefined, flags: DlqListFlags) =>
    run(async () => (await letters()).listDeadLetters(topic, flags, terminal)),
  );
  withAdmin(
    dlq
      .command('peek')
      .description('Show one dead letter in full.')
      .argument('<topic>', 'the topic it came from')
      .argument('[record]', `${RECORD}; default: the first`),
  ).action((topic: string, record: string | undefined, flags: AdminFlags) =>
    run(async () => (await letters()).peekDeadLetter(topic, record, flags, terminal)),
  );
  withAdmin(
    dlq
      .command('replay')
      .description('Publish dead letters to where they came from, each exactly once.')
      .argument('<topic>', 'the topic they came from')
      .argument('[record...]', RECORD)
      .option('--all', 'all of them')
      .option('--to <topic>', 'publish them there instead'),
  ).action((topic: string, records: string[], flags: DlqReplayFlags) =>
    run(async () => (await letters()).replayDeadLetters(topic, records, flags, terminal)),
  );
  withAdmin(
    dlq
      .command('delete')
      .description('Forget dead letters.')
      .argument('<topic>', 'the topic they came from')
      .argument('<record...>', RECORD),
  ).action((topic: string, records: string[], flags: AdminFlags) =>
    run(async () => (await letters()).deleteDeadLetters(topic, records, flags, terminal)),
  );
  withAdmin(
    dlq
      .command('purge')
      .description('Forget all dead letters of a topic.')
      .argument('<topic>', 'the topic they came from'),
  ).action((topic: string, flags: AdminFlags) =>
    run(async () => (await letters()).purgeDeadLetters(topic, flags, terminal)),
  );
  withConnection(
    dlq
      .command('export')
      .description('Print all dead letters of a topic, one JSON object per line.')
      .argument('<topic>', 'the topic they came from'),
  ).action((topic: string, flags: ConnectionFlags) =>
    run(async () => (await letters()).exportDeadLetters(topic, flags, terminal)),
  );
};
