import type { Command } from 'commander';
import type { DrainFlags } from '../commands/cluster.ts';
import { withConnection, withOutput } from './declare-options.ts';
import type { AdminFlags } from './declare-options.ts';
import type { Declare } from './declare.ts';

/** Declares `cluster …`. */
export const declareClusterCommands: Declare = (program, run, terminal) => {
  const cluster = program
    .command('cluster')
    .description('Look at the nodes of a cluster, drain one, spread partitions.');
  const commands = () => import('../commands/cluster.ts');
  admin(cluster.command('status').description('Show controller, partitions and nodes.')).action(
    (flags: AdminFlags) => run(async () => (await commands()).clusterStatus(flags, terminal)),
  );
  admin(cluster.command('nodes').description('List the nodes that are members now.')).action(
    (flags: AdminFlags) => run(async () => (await commands()).clusterNodes(flags, terminal)),
  );
  admin(
    cluster
      .command('drain')
      .description('Make a node hand over what it leads, and take nothing more; it goes on serving clients.')
      .argument('<node>'),
  )
    .option('--cancel', 'it takes its share again')
    .option('--timeout <duration>', 'how long to wait until it leads nothing', '60s')
    .action((nodeId: string, flags: DrainFlags) =>
      run(async () => (await commands()).drainNode(nodeId, flags, terminal)),
    );
  admin(
    cluster.command('rebalance').description('Spread partitions over the nodes, preferred leaders first.'),
  ).action((flags: AdminFlags) => run(async () => (await commands()).rebalance(flags, terminal)));
};

function admin(command: Command): Command {
  return withConnection(withOutput(command));
}
