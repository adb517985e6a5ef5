import type { ExecFileSyncOptions } from 'node:child_process';
import { execFileSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Debian package of each program that tests and benchmarks run. */
const PACKAGES = {
  'nats-server': 'nats-server',
  'redis-server': 'redis-server',
  mosquitto: 'mosquitto',
  'rabbitmq-server': 'rabbitmq-server',
  nft: 'nftables',
  iptables: 'iptables',
  python3: 'python3',
  ip: 'iproute2',
  go: 'golang-go',
  etcd: 'etcd-server',
  etcdctl: 'etcd-client',
  kubectl: 'kubernetes-client',
  'docker-compose': 'docker-compose',
  debootstrap: 'debootstrap',
  chromium: 'chromium',
} as const;

export type SystemTool = keyof typeof PACKAGES;

/** Folders that hold servers on Debian and are not always on the PATH. */
const EXTRA_FOLDERS = ['/usr/sbin', '/sbin'];

/** Where a program is, or undefined. */
export function findTool(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), ...EXTRA_FOLDERS];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

/**
 * Sees to it that programs are there: on the PATH, or installed from Debian where this process is root.
 *
 * @param packages further Debian packages that have no program, such as libraries
 * @throws Error that names what to install
 */
export function requireTools(tools: readonly SystemTool[], packages: readonly string[] = []): void {
  const missing = tools.filter((tool) => findTool(tool) === undefined).map((tool) => PACKAGES[tool]);
  const wanted = [...new Set([...missing, ...packages.filter((name) => !isInstalled(name))])];
  if (wanted.length > 0) install(wanted);
  const absent = tools.filter((tool) => findTool(tool) === undefined);
  if (absent.length > 0) throw new Error(`not found: ${absent.join(', ')}; install ${wanted.join(' ')}`);
}

function install(packages: readonly string[]): void {
  const byHand = `apt-get install ${packages.join(' ')}`;
  if (process.getuid?.() !== 0 || findTool('apt-get') === undefined) {
    throw new Error(
      `needs ${packages.join(', ')}: run \`${byHand}\` as root, or install them as your system does`,
    );
  }
  const options: ExecFileSyncOptions = {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  };
  try {
    execFileSync('apt-get', ['update', '-qq'], options);
    execFileSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], options);
  } catch (cause) {
    throw new Error(`\`${byHand}\` failed: ${String(cause)}`, { cause });
  }
}

function isInstalled(name: string): boolean {
  try {
    return execFileSync('dpkg-query', ['-W', '-f', '${Status}', name], {
      encoding: 'utf8',
      stdio: 'pipe',
    }).includes('install ok installed');
  } catch {
    return false;
  }
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
