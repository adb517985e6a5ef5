import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ServerAddress, SystemName } from '../adapters/adapter.ts';
import type { Usage } from './processes.ts';
import type { CertificateFiles, Command, Place, ServerProcessOptions } from './server-process.ts';
import { ServerProcess } from './server-process.ts';

/** How a server shall run. */
export interface ServerOptions extends ServerProcessOptions {
  /** Extra arguments of `sluice serve`. */
  readonly sluiceArguments?: readonly string[];
}

/** A running server of any system, in a folder of its own that goes with it. */
export class BenchServer implements AsyncDisposable {
  readonly address: ServerAddress;
  readonly process: ServerProcess;

  private constructor(system: SystemName, server: ServerProcess) {
    const { host, port, files } = server.place;
    this.address = { system, host, port, caFile: files.ca };
    this.process = server;
  }

  /** Starts a server of `system` with TLS on a free port. @throws Error when it does not come up */
  static async start(system: SystemName, options: ServerOptions = {}): Promise<BenchServer> {
    const command = (place: Place) => COMMANDS[system](place, options.sluiceArguments ?? []);
    return new BenchServer(system, await ServerProcess.start(system, command, options));
  }

  get pid(): number {
    return this.process.pid;
  }

  usage(): Usage {
    return this.process.usage();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.process[Symbol.asyncDispose]();
  }
}

const COMMANDS: Readonly<Record<SystemName, (place: Place, extra: readonly string[]) => Command>> = {
  sluice: sluiceCommand,
  nats: ({ host, port, folder, files }) => ({
    line: ['nats-server', '-c', natsConfig(folder, host, port, files)],
    ready: /Server is ready/,
  }),
  redis: ({ host, port, files, folder }) => ({
    line: [
      'redis-server',
      ...['--bind', host, '--port', '0', '--tls-port', String(port), '--save', '', '--dir', folder],
      ...['--tls-cert-file', files.certificate, '--tls-key-file', files.key, '--tls-ca-cert-file', files.ca],
      ...['--tls-auth-clients', 'no', '--protected-mode', 'no'],
      ...['--client-output-buffer-limit', 'pubsub 0 0 0'],
    ],
    ready: /Ready to accept connections/,
  }),
  mosquitto: ({ host, port, folder, files }) => ({
    line: ['mosquitto', '-v', '-c', mosquittoConfig(folder, host, port, files)],
    ready: /mosquitto version .* running/,
  }),
};

/** `sluice serve` with QUIC only, its data in the folder. @param extra further arguments */
export function sluiceCommand({ host, port, folder, files }: Place, extra: readonly string[] = []): Command {
  return {
    line: [
      process.execPath,
      new URL('../../src/cli/main.ts', import.meta.url).pathname,
      'serve',
      ...[
        '--data',
        join(folder, 'data'),
        '--quic',
        `${host}:${port}`,
        '--tls-listen',
        'off',
        '--http',
        'off',
      ],
      ...['--config', sluiceConfig(folder, files)],
      ...extra,
    ],
    ready: /node\.ready/,
  };
}
function sluiceConfig(folder: string, files: CertificateFiles): string {
  const file = join(folder, 'sluice.json');
  const tls = { certificate: files.certificate, key: files.key };
  writeFileSync(file, JSON.stringify({ tls, auth: { allowAnonymous: true }, log: { level: 'warn' } }));
  return file;
}

function natsConfig(folder: string, host: string, port: number, files: CertificateFiles): string {
  const file = join(folder, 'nats.conf');
  writeFileSync(
    file,
    `listen: "${host}:${port}"\ntls { cert_file: "${files.certificate}", key_file: "${files.key}" }\nmax_pending: 256MB\n`,
  );
  return file;
}

function mosquittoConfig(folder: string, host: string, port: number, files: CertificateFiles): string {
  const file = join(folder, 'mosquitto.conf');
  writeFileSync(
    file,
    [
      `listener ${port} ${host}`,
      `certfile ${files.certificate}`,
      `keyfile ${files.key}`,
      'allow_anonymous true',
      'user root',
      'max_queued_messages 0',
      // The others have it by default.
      'set_tcp_nodelay true',
      'log_type notice',
      'log_type information',
      '',
    ].join('\n'),
  );
  return file;
}
