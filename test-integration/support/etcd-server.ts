import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { steadyPort } from './steady-port.ts';
import { findTool, requireTools } from './system-tools.ts';

/** How an etcd is started. */
export interface EtcdServerOptions {
  /** Further flags, `--quota-backend-bytes=…` and the like. */
  readonly flags?: readonly string[];
  /** Scheme of the client port; with `https` the flags have to name the files. Default `http`. */
  readonly scheme?: 'http' | 'https';
}

const HOST = '127.0.0.1';
const READY = 'ready to serve client requests';
const KEPT_LOG_CHARACTERS = 20_000;

interface Ports {
  readonly client: number;
  readonly peer: number;
}

/** A real member of etcd with a data directory of its own, on 127.0.0.1; alone unless started with others. */
export class EtcdServer implements AsyncDisposable {
  readonly clientPort: number;
  readonly #members: readonly Ports[];
  readonly #index: number;
  readonly #options: EtcdServerOptions;
  readonly #folder = mkdtempSync(join(tmpdir(), 'sluice-etcd-'));
  #child: ChildProcess | undefined;
  #log = '';

  private constructor(options: EtcdServerOptions, members: readonly Ports[], index: number) {
    this.#options = options;
    this.#members = members;
    this.#index = index;
    this.clientPort = members[index]!.client;
  }

  /** Installs etcd where it is missing and may be, and starts one. Resolves when it serves. */
  static async start(options: EtcdServerOptions = {}): Promise<EtcdServer> {
    return (await EtcdServer.startMembers(1, options))[0]!;
  }

  /** Starts `count` members that are one etcd. Resolves when they serve. */
  static async startMembers(count: number, options: EtcdServerOptions = {}): Promise<readonly EtcdServer[]> {
    requireTools(['etcd']);
    const ports: Ports[] = [];
    for (let index = 0; index < count; index++)
      ports.push({ client: await steadyPort(HOST), peer: await steadyPort(HOST) });
    const servers = ports.map((_ports, index) => new EtcdServer(options, ports, index));
    try {
      await Promise.all(servers.map((server) => server.restart()));
    } catch (error) {
      await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()));
      throw error;
    }
    return servers;
  }

  /** `http://127.0.0.1:port` */
  get endpoint(): string {
    return `${this.#options.scheme ?? 'http'}://${HOST}:${this.clientPort}`;
  }

  /** Starts it again on its data, after {@link EtcdServer.kill}. */
  async restart(): Promise<void> {
    const peers = this.#members.map(({ peer }) => `http://${HOST}:${peer}`);
    const peer = peers[this.#index]!;
    const argv = [
      ['--name', `test-${this.#index}`],
      ['--data-dir', join(this.#folder, 'data')],
      ['--listen-client-urls', this.endpoint],
      ['--advertise-client-urls', this.endpoint],
      ['--listen-peer-urls', peer],
      ['--initial-advertise-peer-urls', peer],
      ['--initial-cluster', peers.map((url, index) => `test-${index}=${url}`).join(',')],
    ];
    const child = spawn(findTool('etcd')!, [...argv.flat(), ...(this.#options.flags ?? [])], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#child = child;
    this.#log = '';
    await new Promise<void>((resolve, reject) => {
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        this.#log = (this.#log + text).slice(-KEPT_LOG_CHARACTERS);
        if (this.#log.includes(READY)) resolve();
      });
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`etcd ended with ${String(code)}: ${this.#log}`)));
    });
  }

  /** Copies its data, of which {@link EtcdServer.restore} makes its data again; only after {@link EtcdServer.kill}. */
  backUp(): void {
    cpSync(join(this.#folder, 'data'), join(this.#folder, 'backup'), { recursive: true });
  }

  restore(): void {
    rmSync(join(this.#folder, 'data'), { recursive: true });
    cpSync(join(this.#folder, 'backup'), join(this.#folder, 'data'), { recursive: true });
  }

  /** Stops it from running without ending it. */
  freeze(): void {
    this.#child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child?.kill('SIGCONT');
  }

  /** Ends it at once; its data stays. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
