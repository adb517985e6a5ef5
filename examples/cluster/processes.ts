import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { findTool, requireTools } from '../../test-integration/support/system-tools.ts';

const SLUICE = fileURLToPath(new URL('../../bin/sluice.js', import.meta.url));
const HOST = '127.0.0.1';
const STOP_MS = 15_000;

/** Where a node says that it is, once it is ready. */
export interface ReadyNode {
  readonly nodeId: string;
  readonly quic: string;
  readonly tls: string;
  readonly http: string;
  readonly pid: number;
}

/** A process in a group of its own, so that a Ctrl-C at the terminal does not end it before its turn. */
export class Background {
  readonly #child: ChildProcess;

  constructor(
    command: readonly string[],
    env: Readonly<Record<string, string>>,
    stderr: 'inherit' | 'ignore',
  ) {
    this.#child = spawn(command[0]!, command.slice(1), {
      detached: true,
      stdio: ['ignore', 'pipe', stderr],
      env: { ...withoutSettings(), ...env },
    });
  }

  /** The first line that it prints. @throws Error when it ends before */
  async firstLine(): Promise<string> {
    const lines = createInterface({ input: this.#child.stdout! });
    for await (const line of lines) {
      this.#child.stdout!.resume();
      return line;
    }
    throw new Error('it ended before it was ready; why is above');
  }

  /** Asks it to end; after 15 seconds it is not asked any more. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS);
    await gone;
    clearTimeout(timer);
  }
}

/** Starts one member of etcd, which is installed where it is missing and may be. @returns its endpoint */
export async function startEtcd(folder: string, stack: AsyncDisposableStack): Promise<string> {
  requireTools(['etcd']);
  const endpoint = `http://${HOST}:${await freePort()}`;
  const peer = `http://${HOST}:${await freePort()}`;
  const argv = [
    ['--name', 'one'],
    ['--data-dir', join(folder, 'etcd')],
    ['--listen-client-urls', endpoint],
    ['--advertise-client-urls', endpoint],
    ['--listen-peer-urls', peer],
    ['--initial-advertise-peer-urls', peer],
    ['--initial-cluster', `one=${peer}`],
    ['--log-level', 'error'],
  ];
  const etcd = new Background([findTool('etcd')!, ...argv.flat()], {}, 'ignore');
  stack.defer(() => etcd.stop());
  await untilHealthy(endpoint);
  return endpoint;
}

/** Starts one node on free ports and waits until it is ready. @param logLevel of what it writes to standard error */
export async function startNode(
  nodeId: string,
  folder: string,
  env: Readonly<Record<string, string>>,
  stack: AsyncDisposableStack,
  logLevel: 'warn' | 'error' = 'warn',
): Promise<ReadyNode> {
  const any = `${HOST}:0`;
  const addresses = ['--quic', any, '--http', any, '--log-level', logLevel];
  const argv = [process.execPath, SLUICE, 'serve', '--node-id', nodeId, '--data', join(folder, nodeId)];
  const node = new Background([...argv, ...addresses], { SLUICE_PEER_LISTEN: any, ...env }, 'inherit');
  stack.defer(() => node.stop());
  return { nodeId, ...(JSON.parse(await node.firstLine()) as Omit<ReadyNode, 'nodeId'>) };
}

/** What is set for other nodes and commands is nothing for these. */
function withoutSettings(): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('SLUICE_')));
}

async function untilHealthy(endpoint: string): Promise<void> {
  const deadline = performance.now() + 30_000;
  for (;;) {
    const isHealthy = await fetch(`${endpoint}/health`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (isHealthy) return;
    if (performance.now() > deadline) throw new Error(`etcd does not answer at ${endpoint}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, HOST);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
