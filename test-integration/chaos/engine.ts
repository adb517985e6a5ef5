/** A Docker engine with the images that the tests of failures need: the one that answers, or one that is started for them. */
import { execFile } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { requireTools } from '../support/system-tools.ts';
import { noteOwner } from './engine-teardown.ts';

const run = promisify(execFile);
const HERE = dirname(fileURLToPath(import.meta.url));
const PROJECT = join(HERE, '../..');
const OUTPUT_MAX_BYTES = 64 * 1024 * 1024;
/** Debian's `docker` knows BuildKit; another one that comes first on the PATH may not. */
const BUILDER = '/usr/bin/docker';

/** Images by what they are for. */
export interface Images {
  readonly node: string;
  /** The same, with a wall clock that can be set. */
  readonly nodeWithClock: string;
  readonly etcd: string;
  /** nft and what delays packets. */
  readonly tools: string;
}

/**
 * Makes sure that an engine answers and has the images; the node's is built from this tree.
 *
 * Where no engine answers, one is started as root; it stays for the next run. Where no registry can be reached, the base images are made of
 * Debian's and npm's packages.
 *
 * @throws Error that says what to install or start
 */
export async function prepareEngine(): Promise<Images> {
  if (!(await answers())) await startEngine();
  process.env['TESTCONTAINERS_RYUK_DISABLED'] = 'true';
  const etcd = await baseImages();
  await build('sluice-chaos-tools:local', join(HERE, '../support/network'));
  await build('sluice:local', PROJECT);
  // Takes the image that was built just now.
  await build('sluice-chaos-clock:local', join(HERE, 'docker/clock'));
  return {
    node: 'sluice:local',
    nodeWithClock: 'sluice-chaos-clock:local',
    etcd,
    tools: 'sluice-chaos-tools:local',
  };
}

async function answers(): Promise<boolean> {
  return run('docker', ['version', '-f', '{{.Server.Version}}']).then(
    () => true,
    () => false,
  );
}

async function startEngine(): Promise<void> {
  try {
    const { stdout } = await run('bash', [join(HERE, 'docker/engine-up.sh')], {
      maxBuffer: OUTPUT_MAX_BYTES,
    });
    process.env['DOCKER_HOST'] = stdout.trim().split('\n').at(-1);
    noteOwner();
  } catch (error) {
    throw new Error(`no Docker engine answers, and none could be started: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

/** @returns the image of etcd: the registry's where there is one */
async function baseImages(): Promise<string> {
  const pulled = 'quay.io/coreos/etcd:v3.5.21';
  if (await hasImage('etcd:3.4')) return 'etcd:3.4';
  if (await hasImage(pulled)) return pulled;
  const isReachable = await run('docker', ['pull', '-q', pulled], { timeout: 60_000 }).then(
    () => true,
    () => false,
  );
  if (isReachable) return pulled;
  requireTools(['debootstrap', 'etcd', 'etcdctl']);
  await run('bash', [join(HERE, 'docker/base-images.sh')], { maxBuffer: OUTPUT_MAX_BYTES });
  return 'etcd:3.4';
}

async function hasImage(name: string): Promise<boolean> {
  return run('docker', ['image', 'inspect', name], { maxBuffer: OUTPUT_MAX_BYTES }).then(
    () => true,
    () => false,
  );
}

async function build(tag: string, folder: string): Promise<void> {
  const argv = ['build', '--network', 'host', '-q', '-t', tag, folder];
  const docker = await run(BUILDER, ['--version']).then(
    () => BUILDER,
    () => 'docker',
  );
  try {
    await run(docker, argv, { maxBuffer: OUTPUT_MAX_BYTES, env: { ...process.env, DOCKER_BUILDKIT: '1' } });
  } catch (error) {
    throw new Error(`the image ${tag} could not be built: ${reasonOf(error)}`, { cause: error });
  }
}

function reasonOf(error: unknown): string {
  const { stderr, message } = error as Error & { stderr?: string };
  return (stderr ?? message).trim().split('\n').slice(-5).join('\n');
}
