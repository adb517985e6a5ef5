/**
 * A cluster on this machine: etcd and some nodes, with certificates made on the spot, all in one folder.
 *
 *     npm run cluster                                    prints where the nodes are; Ctrl-C stops everything
 *     npm run cluster -- --exec 'sluice cluster nodes'   runs a command against it, stops everything, ends with the command's status
 *
 * `--nodes N`: how many, default 3. `--keep DIR`: everything is kept there, and found there again the next time; else it goes in
 * the end. The command has SLUICE_SERVER (all nodes) and SLUICE_CA set, and `sluice` on its PATH.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ClusterCertificates } from './certificates.ts';
import type { ReadyNode } from './processes.ts';
import { startEtcd, startNode } from './processes.ts';

const CLUSTER = 'main';
const SLUICE = fileURLToPath(new URL('../../bin/sluice.js', import.meta.url));
const USAGE = "usage: npm run cluster -- [--nodes 1..9] [--keep DIR] [--exec 'COMMAND']";

/** What was asked for on the command line. */
interface Wish {
  readonly count: number;
  readonly keep: string | undefined;
  readonly command: string | undefined;
}

const interruption = new AbortController();
// Again and again: a Ctrl-C comes from the terminal and through npm, and stopping takes its time.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => interruption.abort(signal));

const wish = readWish();
if (wish === undefined) {
  console.error(USAGE);
  process.exitCode = 2;
} else {
  process.exitCode = await run(wish).catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    return 1;
  });
}

function readWish(): Wish | undefined {
  try {
    const { values } = parseArgs({
      options: {
        nodes: { type: 'string', default: '3' },
        keep: { type: 'string' },
        exec: { type: 'string' },
      },
    });
    if (!/^[1-9]$/.test(values.nodes)) return undefined;
    return { count: Number(values.nodes), keep: values.keep, command: values.exec };
  } catch {
    return undefined;
  }
}

async function run({ count, keep, command }: Wish): Promise<number> {
  await using stack = new AsyncDisposableStack();
  const folder = openFolder(keep, stack);
  const etcd = await startEtcd(folder, stack);
  const certificates = await ClusterCertificates.open(join(folder, 'certificates'), CLUSTER);
  const names = Array.from({ length: count }, (_, index) => `n${index + 1}`);
  const nodes = await startNodes(names, folder, etcd, certificates, stack);
  const env = {
    SLUICE_SERVER: nodes.map(({ quic }) => quic).join(','),
    SLUICE_CA: certificates.clientAuthority,
  };
  if (command !== undefined) return await execute(command, folder, env);
  show(folder, etcd, nodes, env);
  await interrupted();
  console.log('stopping');
  return 0;
}

/** A folder of its own that goes in the end, unless one is to be kept. */
function openFolder(keep: string | undefined, stack: AsyncDisposableStack): string {
  if (keep !== undefined) {
    const folder = resolve(keep);
    mkdirSync(folder, { recursive: true });
    return folder;
  }
  const folder = mkdtempSync(join(tmpdir(), 'sluice-cluster-'));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** All at once; they stop all at once too. */
async function startNodes(
  names: readonly string[],
  folder: string,
  etcd: string,
  certificates: ClusterCertificates,
  stack: AsyncDisposableStack,
): Promise<ReadyNode[]> {
  const stacks = names.map(() => new AsyncDisposableStack());
  stack.defer(async () => {
    await Promise.all(stacks.map((one) => one.disposeAsync()));
  });
  return Promise.all(
    names.map(async (nodeId, index) => {
      const env = {
        SLUICE_CLUSTER_NAME: CLUSTER,
        SLUICE_CLUSTER_ETCD_ENDPOINTS: etcd,
        SLUICE_DRAIN_TIMEOUT: '2s',
        ...(await certificates.environmentOf(nodeId)),
      };
      return startNode(nodeId, folder, env, stacks[index]!);
    }),
  );
}

/** Runs a command line. @returns its status, as a shell says it */
async function execute(command: string, folder: string, env: Record<string, string>): Promise<number> {
  if (interruption.signal.aborted) return 128 + constants.signals.SIGINT;
  const PATH = `${commandFolder(folder)}${delimiter}${process.env['PATH'] ?? ''}`;
  const child = spawn(command, { shell: true, stdio: 'inherit', env: { ...process.env, ...env, PATH } });
  // A Ctrl-C at the terminal has reached it already; a signal that was sent to this process has not.
  interruption.signal.addEventListener('abort', () => child.kill('SIGTERM'));
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  return code ?? 128 + constants.signals[signal!];
}

/** A folder with a `sluice` in it that is this one. */
function commandFolder(folder: string): string {
  const bin = join(folder, 'bin');
  mkdirSync(bin, { recursive: true });
  const file = join(bin, 'sluice');
  writeFileSync(file, `#!/bin/sh\nexec '${process.execPath}' '${SLUICE}' "$@"\n`);
  chmodSync(file, 0o755);
  return bin;
}

function show(
  folder: string,
  etcd: string,
  nodes: readonly ReadyNode[],
  env: Readonly<Record<string, string>>,
): void {
  console.log(`etcd ${etcd}; everything is in ${folder}`);
  for (const { nodeId, quic, tls, http, pid } of nodes)
    console.log(`${nodeId}  ${quic}  ${tls}  ${http}/metrics  pid ${pid}`);
  console.log('\nIn another terminal:');
  for (const [name, value] of Object.entries(env)) console.log(`  export ${name}=${value}`);
  console.log('  npx sluice cluster nodes\nCtrl-C stops everything.');
}

function interrupted(): Promise<void> {
  return new Promise((done) => {
    if (interruption.signal.aborted) done();
    else interruption.signal.addEventListener('abort', () => done(), { once: true });
  });
}
