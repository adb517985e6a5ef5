/** A real node in a process of its own, with a data directory that nothing else uses. */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Client, ConnectOptions } from '../../src/client/index.ts';
import { connect } from '../../src/client/index.ts';
import { steadyPort } from './steady-port.ts';

const PROGRAM = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const PAGE_BYTES = 4096;
const KEPT_STDERR_CHARACTERS = 16_384;

/** What a node is started with. */
export interface NodeProcessOptions {
  /** Default 127.0.0.1. Listening elsewhere needs `--allow-anonymous` among the `flags`. */
  readonly host?: string;
  /** Network namespace to run in; default this one. */
  readonly namespace?: string;
  /** Its data directory; default one of its own, which goes with it. */
  readonly dataFolder?: string;
  /** Further options of `sluice serve`. */
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

interface Ready {
  readonly quic: string;
  readonly tls: string;
  readonly http: string;
  readonly grpc?: string;
  readonly ca: string;
  readonly pid: number;
}

/** `sluice serve` as a process; it can be killed and started again on the same ports and data. */
export class NodeProcess implements AsyncDisposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'sluice-node-'));
  readonly #options: NodeProcessOptions;
  #child: ChildProcess | undefined;
  #ready: Ready | undefined;
  #stderr = '';

  private constructor(options: NodeProcessOptions) {
    this.#options = options;
  }

  /** Starts a node on free ports and waits until it is ready. */
  static async start(options: NodeProcessOptions = {}): Promise<NodeProcess> {
    const node = new NodeProcess(options);
    try {
      await node.restart();
    } catch (error) {
      await node[Symbol.asyncDispose]();
      throw error;
    }
    return node;
  }

  get dataFolder(): string {
    return this.#options.dataFolder ?? join(this.#folder, 'data');
  }
  get url(): string {
    return this.#said.quic;
  }
  get host(): string {
    return new URL(this.#said.quic).hostname;
  }
  get quicPort(): number {
    return Number(new URL(this.#said.quic).port);
  }
  get tlsPort(): number {
    return Number(new URL(this.#said.tls).port);
  }
  get httpPort(): number {
    return Number(new URL(this.#said.http).port);
  }
  /** `host:port` of gRPC, which a flag has to switch on. */
  get grpcAddress(): string {
    return new URL(this.#said.grpc!).host;
  }
  /** File with the authority of the node's certificate. */
  get ca(): string {
    return this.#said.ca;
  }
  get pid(): number {
    return this.#said.pid;
  }

  /** Whether the process that was started last still runs. */
  get alive(): boolean {
    return this.#child?.exitCode === null && this.#child.signalCode === null;
  }

  /** The end of what the node logged. */
  get log(): string {
    return this.#stderr;
  }

  /** Resident memory, bytes. */
  get rssBytes(): number {
    return Number(readFileSync(`/proc/${this.pid}/statm`, 'utf8').split(' ')[1]) * PAGE_BYTES;
  }

  /** A client of this node; the caller closes it. */
  connect(options: ConnectOptions = {}): Promise<Client> {
    return connect(this.url, { ca: this.ca, ...options });
  }

  /** Ends the process and waits until it is gone. @returns its exit code, null after SIGKILL */
  async kill(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    const child = this.#child;
    if (child === undefined || !this.alive) return child?.exitCode ?? null;
    const gone = once(child, 'exit');
    child.kill(signal);
    const [exitCode] = (await gone) as [number | null];
    return exitCode;
  }

  /** Stops it from running without ending it. */
  freeze(): void {
    this.#child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child?.kill('SIGCONT');
  }

  /** Starts the process, with the ports it had before. @throws Error with what it logged when it does not come up */
  async restart(): Promise<void> {
    const { host = '127.0.0.1', namespace, flags = [], env = {} } = this.#options;
    // In a namespace nobody else takes ports, and they cannot be tried from here.
    const free = (): Promise<number> => (namespace === undefined ? steadyPort(host) : Promise.resolve(0));
    const quic = this.#ready ? this.quicPort : await free();
    const http = this.#ready ? this.httpPort : await free();
    const argv = [PROGRAM, 'serve', '--data', this.dataFolder, ...flags];
    argv.push('--quic', `${host}:${quic}`, '--http', `${host}:${http}`);
    const command = [process.execPath, ...argv];
    // `ip netns exec` replaces itself by the program, so that the child is the node.
    if (namespace !== undefined) command.unshift('ip', 'netns', 'exec', namespace);
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('SLUICE_'));
    const child = spawn(command[0]!, command.slice(1), {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...Object.fromEntries(inherited), XDG_STATE_HOME: join(this.#folder, 'state'), ...env },
    });
    this.#child = child;
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-KEPT_STDERR_CHARACTERS);
    });
    this.#ready = JSON.parse(await this.#firstLine(child)) as Ready;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get #said(): Ready {
    if (this.#ready === undefined) throw new Error('the node is not ready');
    return this.#ready;
  }

  #firstLine(child: ChildProcess): Promise<string> {
    return new Promise((resolve, reject) => {
      let text = '';
      child.stdout!.setEncoding('utf8').on('data', (more: string) => {
        text += more;
        const end = text.indexOf('\n');
        if (end >= 0) resolve(text.slice(0, end));
      });
      child.once('error', reject);
      child.once('exit', (code, signal) => {
        reject(new Error(`the node ended with ${String(code ?? signal)}: ${this.#stderr}`));
      });
    });
  }
}
