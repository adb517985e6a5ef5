import type { Command } from 'commander';
import type { CertsInitFlags, CertsIssueFlags } from '../commands/certs.ts';
import { collect, withOutput } from './declare-options.ts';
import type { OutputFlags } from './declare-options.ts';
import type { Declare } from './declare.ts';
import type { ServeFlags } from '../commands/serve.ts';
import type { ConfigFlags } from '../commands/show-config.ts';

/** Declares `serve`, `certs …` and `config …`. */
export const declareNodeCommands: Declare = (program, run, terminal) => {
  settings(program.command('serve').description('Run a node until it is told to stop.')).action(
    (flags: ServeFlags) => run(async () => (await import('../commands/serve.ts')).serve(flags, terminal)),
  );
  declareCerts(program, run, terminal);
  const config = program.command('config').description('Show settings.');
  const shows = () => import('../commands/show-config.ts');
  withOutput(
    settings(
      config
        .command('show')
        .description('The settings that serve would run with, and where each comes from.'),
    ),
  ).action((flags: ConfigFlags) => run(async () => (await shows()).showConfig(flags, terminal)));
  withOutput(
    config
      .command('reference')
      .description('Every setting with its default, environment variable and meaning.'),
  ).action((flags: OutputFlags) => run(async () => (await shows()).showReference(flags, terminal)));
};

const declareCerts: Declare = (program, run, terminal) => {
  const certs = program.command('certs').description('Make and show certificates.');
  const commands = () => import('../commands/certs.ts');
  withOutput(certs.command('init').description('Make an authority of your own.'))
    .option('--dir <folder>', 'where ca.pem and ca-key.pem go', 'certs')
    .option('--name <name>', 'of the authority', 'Sluice authority')
    .action((flags: CertsInitFlags) => run(async () => (await commands()).initCerts(flags, terminal)));
  withOutput(
    certs.command('issue').description('Issue a certificate signed by that authority.').argument('<name>'),
  )
    .option('--dir <folder>', 'where the authority is and the new files go', 'certs')
    .option('--server', 'for a node, shown to clients')
    .option('--client', 'for a client; the name is its principal')
    .option('--node', 'for a node of a cluster, shown to the others; the name is its node id')
    .option('--cluster <name>', 'with --node: name of the cluster (default: main)')
    .option(
      '--host <name>',
      'DNS name or IP address of the node (repeatable; with --server the default is the name)',
      collect,
    )
    .action((name: string, flags: CertsIssueFlags) =>
      run(async () => (await commands()).issueCert(name, flags, terminal)),
    );
  withOutput(
    certs
      .command('show')
      .description('Show whom certificates are for and until when they hold.')
      .argument('<file...>'),
  ).action((files: string[], flags: OutputFlags) =>
    run(async () => (await commands()).showCerts(files, flags, terminal)),
  );
};

function settings(command: Command): Command {
  return command
    .option('--config <file>', 'settings, YAML; see: sluice config reference')
    .option('--data <dir>', 'everything the node keeps (default: ./sluice-data)')
    .option('--quic <host:port>', 'QUIC, udp (default: 127.0.0.1:7450)')
    .option('--http <host:port>', "health, metrics and the HTTP API, tcp, or 'off' (default: 127.0.0.1:7451)")
    .option('--grpc <host:port>', 'messages and queues over gRPC, tcp (default: off)')
    .option(
      '--tls-listen <host:port>',
      "HTTP/2 over TLS, tcp, for networks that block UDP; 'same' as --quic, or 'off' (default: same)",
    )
    .option('--allow-anonymous', 'listen beyond this machine although everybody may do everything')
    .option('--node-id <name>', 'name of the node')
    .option('--log-level <level>', 'least important log records to write (default: info)');
}
