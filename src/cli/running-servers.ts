/**
 * Where a node that runs on this machine left the authority of its certificate, so that commands of the same user find it.
 *
 *     ${XDG_STATE_HOME:-~/.local/state}/sluice/servers/<host>_<port>.json   { url, http, ca, dataDir, pid }
 *
 * `sluice serve` writes the file when it is ready and removes it when it stops. A file that stayed behind after a crash does no harm:
 * the certificate is verified against the authority it names, and the next node on that address overwrites it.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { isLoopback } from './server-address.ts';
import type { ServerAddress } from './server-address.ts';

/** What a running node says about itself to the commands of its user. */
export interface RunningServer {
  readonly url: string;
  /** `http://host:port` or `https://…`, where health, metrics and the HTTP API are. */
  readonly http: string | undefined;
  /** Absolute path of the authority's certificate, PEM. */
  readonly ca: string | undefined;
  /** Absolute path of the node's data directory. */
  readonly dataDir: string;
  readonly pid: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Notes a running node. @returns a function that takes the note away, unless another process has replaced it */
export function registerServer(
  env: Environment,
  at: { host: string; port: number },
  server: RunningServer,
): () => void {
  const folder = serversFolder(env);
  const file = join(folder, fileName(at.host, at.port));
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeFileSync(`${file}.${server.pid}`, `${JSON.stringify(server, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${file}.${server.pid}`, file);
  return () => {
    if (readServer(file)?.pid === server.pid) rmSync(file, { force: true });
  };
}

/** The node of this machine that listens on a loopback address (or on all addresses) with that port, if it left a note. */
export function findServer(env: Environment, address: ServerAddress): RunningServer | undefined {
  if (!isLoopback(address.host)) return undefined;
  const hosts = new Set([address.host, '127.0.0.1', 'localhost', '::1', '0.0.0.0', '::']);
  for (const host of hosts) {
    const server = readServer(join(serversFolder(env), fileName(host, address.port)));
    if (server !== undefined) return server;
  }
  return undefined;
}

function serversFolder(env: Environment): string {
  const state = env['XDG_STATE_HOME'] ?? '';
  return join(state === '' ? join(env['HOME'] ?? homedir(), '.local/state') : state, 'sluice/servers');
}

function fileName(host: string, port: number): string {
  return `${host.replaceAll(/[^0-9A-Za-z.-]/g, '-')}_${port}.json`;
}

function readServer(file: string): RunningServer | undefined {
  try {
    const found: unknown = JSON.parse(readFileSync(file, 'utf8'));
    return typeof found === 'object' && found !== null && 'pid' in found
      ? (found as RunningServer)
      : undefined;
  } catch {
    return undefined;
  }
}
