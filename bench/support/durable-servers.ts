import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DurableAddress, DurableSystem } from '../adapters/durable/adapter.ts';
import type { Usage } from './processes.ts';
import { stop } from './processes.ts';
import type { Command, Place } from './server-process.ts';
import { ServerProcess, freePort } from './server-process.ts';
import { sluiceCommand } from './servers.ts';

/** Whether clients and servers talk TLS; Sluice always does. */
export interface DurableServerOptions {
  readonly tls: boolean;
}

/** A running server that stores what it is given, in a folder that goes with it. */
export class DurableServer implements AsyncDisposable {
  readonly address: DurableAddress;
  readonly #server: ServerProcess;
  readonly #companion: ChildProcess | undefined;

  private constructor(address: DurableAddress, server: ServerProcess, companion: ChildProcess | undefined) {
    this.address = address;
    this.#server = server;
    this.#companion = companion;
  }

  /** @throws Error when it does not come up */
  static async start(system: DurableSystem, { tls }: DurableServerOptions): Promise<DurableServer> {
    const epmdPort = system === 'rabbitmq' ? await freePort() : 0;
    // RabbitMQ would start one that outlives it.
    const epmd = epmdPort === 0 ? undefined : spawn('epmd', ['-port', String(epmdPort)], { stdio: 'ignore' });
    try {
      const server = await ServerProcess.start(system, commandOf(system, tls, epmdPort));
      const { host, port, files } = server.place;
      const secure = tls || system.startsWith('sluice');
      return new DurableServer({ system, host, port, caFile: secure ? files.ca : undefined }, server, epmd);
    } catch (error) {
      if (epmd !== undefined) await stop(epmd);
      throw error;
    }
  }

  usage(): Usage {
    return this.#server.usage();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
    if (this.#companion !== undefined) await stop(this.#companion);
  }
}

function commandOf(system: DurableSystem, tls: boolean, epmdPort: number): (place: Place) => Command {
  switch (system) {
    case 'sluice-always':
    case 'sluice-interval':
      return (place) => sluiceCommand(place);
    case 'jetstream':
      return (place) => jetstreamCommand(place, tls);
    case 'redis-always':
      return (place) => redisCommand(place, tls, 'always');
    case 'redis-everysec':
      return (place) => redisCommand(place, tls, 'everysec');
    case 'rabbitmq':
      return (place) => rabbitmqCommand(place, tls, epmdPort);
  }
}

function jetstreamCommand({ host, port, folder, files }: Place, tls: boolean): Command {
  const file = join(folder, 'nats.conf');
  const secure = `tls { cert_file: "${files.certificate}", key_file: "${files.key}" }`;
  writeFileSync(
    file,
    `listen: "${host}:${port}"\n${tls ? secure : ''}\njetstream { store_dir: "${join(folder, 'store')}" }\n`,
  );
  return { line: ['nats-server', '-c', file], ready: /Server is ready/ };
}

/** Never rewriting the append-only file, which would cost Redis time in a long run. */
function redisCommand({ host, port, folder, files }: Place, tls: boolean, fsync: string): Command {
  const secure = [
    ...['--port', '0', '--tls-port', String(port), '--tls-auth-clients', 'no'],
    ...['--tls-cert-file', files.certificate, '--tls-key-file', files.key, '--tls-ca-cert-file', files.ca],
  ];
  return {
    line: [
      ...['redis-server', '--bind', host, '--protected-mode', 'no', '--dir', folder, '--save', ''],
      ...['--appendonly', 'yes', '--appendfsync', fsync, '--auto-aof-rewrite-percentage', '0'],
      ...(tls ? secure : ['--port', String(port)]),
    ],
    ready: /Ready to accept connections/,
  };
}

/** A plain process with everything of its own: node name, cookie, ports, data, and the port mapper it registers with. */
function rabbitmqCommand({ host, port, folder, files }: Place, tls: boolean, epmdPort: number): Command {
  const config = join(folder, 'rabbitmq.conf');
  const listen = `${host}:${port}`;
  const secure = [
    'listeners.tcp = none',
    `listeners.ssl.1 = ${listen}`,
    ...[`ssl_options.cacertfile = ${files.ca}`, `ssl_options.certfile = ${files.certificate}`],
    ...[`ssl_options.keyfile = ${files.key}`, 'ssl_options.verify = verify_none'],
    'ssl_options.fail_if_no_peer_cert = false',
  ];
  const lines = [
    ...(tls ? secure : [`listeners.tcp.1 = ${listen}`]),
    ...['log.console = true', 'log.console.level = info', 'log.file = false'],
    'disk_free_limit.absolute = 100MB',
  ];
  writeFileSync(config, `${lines.join('\n')}\n`);
  writeFileSync(join(folder, 'enabled_plugins'), '[].\n');
  writeFileSync(join(folder, '.erlang.cookie'), `BENCH${process.pid}${port}\n`, { mode: 0o400 });
  mkdirSync(join(folder, 'mnesia'));
  return {
    line: ['/usr/lib/rabbitmq/bin/rabbitmq-server'],
    ready: /Server startup complete/,
    env: {
      HOME: folder,
      // Makes the script become the server, so that the process id is the server's.
      RUNNING_UNDER_SYSTEMD: 'true',
      RABBITMQ_NODENAME: `bench${port}@localhost`,
      RABBITMQ_DIST_PORT: String(port + 20_000 > 65_535 ? port - 20_000 : port + 20_000),
      ERL_EPMD_PORT: String(epmdPort),
      RABBITMQ_CONFIG_FILE: config,
      RABBITMQ_ADVANCED_CONFIG_FILE: join(folder, 'none.config'),
      RABBITMQ_CONF_ENV_FILE: join(folder, 'none.sh'),
      RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'enabled_plugins'),
      RABBITMQ_MNESIA_BASE: join(folder, 'mnesia'),
      RABBITMQ_LOG_BASE: join(folder, 'log'),
      RABBITMQ_PID_FILE: join(folder, 'rabbitmq.pid'),
      RABBITMQ_SCHEMA_DIR: join(folder, 'schema'),
    },
  };
}
