import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { makeAuthority } from '../../test/support/certificates.ts';
import type { ServerAddress, SystemName } from '../adapters/adapter.ts';
import { stop, usageOf } from './processes.ts';
import type { Usage } from './processes.ts';

const START_MS = 15_000;

/** How a server shall run. */
export interface ServerOptions {
  /** Address to listen at. Default 127.0.0.1. */
  readonly host?: string;
  /** Network namespace to run in. */
  readonly namespace?: string;
  /** Extra arguments of `sluice serve`. */
  readonly sluiceArguments?: readonly string[];
}

/** A running server of any system, in a folder of its own that goes with it. */
export class BenchServer implements AsyncDisposable {
  readonly address: ServerAddress;
  readonly #child: ChildProcess;
  readonly #folder: string;

  private constructor(address: ServerAddress, child: ChildProcess, folder: string) {
    this.address = address;
    this.#child = child;
    this.#folder = folder;
  }

  /** Starts a server of `system` with TLS on a free port. @throws Error when it does not come up */
  static async start(system: SystemName, options: ServerOptions = {}): Promise<BenchServer> {
    const host = options.host ?? '127.0.0.1';
    const folder = mkdtempSync(join(tmpdir(), `sluice-bench-${system}-`));
    const port = await freePort();
    const files = await writeCertificates(folder, host);
    const command = COMMANDS[system]({ host, port, folder, files, extra: options.sluiceArguments ?? [] });
    const inside = options.namespace === undefined ? [] : ['ip', 'netns', 'exec', options.namespace];
    const [program, ...rest] = [...inside, ...command.line] as [string, ...string[]];
    const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
    const server = new BenchServer({ system, host, port, caFile: files.ca }, child, folder);
    try {
      await readyLine(child, command.ready, system);
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
    return server;
  }

  /** `ip netns exec` replaces itself by the program, so this is the server's own id. */
  get pid(): number {
    return this.#child.pid!;
  }

  usage(): Usage {
    return usageOf(this.pid);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await stop(this.#child);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

interface CertificateFiles {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

interface Setting {
  readonly host: string;
  readonly port: number;
  readonly folder: string;
  readonly files: CertificateFiles;
  readonly extra: readonly string[];
}

interface Command {
  readonly line: readonly string[];
  /** Output that says that clients may come. */
  readonly ready: RegExp;
}

const COMMANDS: Readonly<Record<SystemName, (setting: Setting) => Command>> = {
  sluice: ({ host, port, folder, files, extra }) => ({
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
  }),
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
      'log_type notice',
      'log_type information',
      '',
    ].join('\n'),
  );
  return file;
}

async function writeCertificates(folder: string, host: string): Promise<CertificateFiles> {
  const authority = await makeAuthority();
  const identity = await authority.issue({ names: ['localhost'], ips: [...new Set(['127.0.0.1', host])] });
  const files = {
    ca: join(folder, 'ca.pem'),
    certificate: join(folder, 'server.pem'),
    key: join(folder, 'key.pem'),
  };
  writeFileSync(files.ca, authority.certificatePem);
  writeFileSync(files.certificate, identity.certificatePem);
  writeFileSync(files.key, identity.privateKeyPem, { mode: 0o600 });
  return files;
}

/** A TCP port that is free now; the same number is taken for UDP. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });
}

/** Waits for the line; keeps the last output for the message when it does not come. */
function readyLine(child: ChildProcess, ready: RegExp, system: SystemName): Promise<void> {
  return new Promise((resolve, reject) => {
    const last: string[] = [];
    const fail = (why: string): void => reject(new Error(`${system}: ${why}\n${last.join('\n')}`));
    const timer = setTimeout(() => fail('did not become ready'), START_MS);
    child.once('error', (error) => fail(error.message));
    child.once('exit', (code) => {
      clearTimeout(timer);
      fail(`ended with ${String(code)}`);
    });
    for (const output of [child.stdout!, child.stderr!]) {
      createInterface({ input: output }).on('line', (line) => {
        last.push(line);
        if (last.length > 20) last.shift();
        if (!ready.test(line)) return;
        clearTimeout(timer);
        resolve();
      });
    }
  });
}
