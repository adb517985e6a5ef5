import { resolve } from 'node:path';
import type { ListenAddress } from '../../config/kinds.ts';
import type { LoadedConfig } from '../../config/load.ts';
import type { Settings } from '../../config/settings.ts';
import { systemClock } from '../../kernel/system-clock.ts';
import { Node } from '../../node/node.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { createLogger } from '../../telemetry/logger.ts';
import { facts } from '../format.ts';
import { compileEarly } from '../v8/compilation.ts';
import { GarbageAllowance } from '../v8/garbage-allowance.ts';
import { collectGarbage, keepYoungGenerationSmall } from '../v8/garbage-collection.ts';
import { registerServer } from '../running-servers.ts';
import { hostPort } from '../server-address.ts';
import { loadSettings } from '../settings.ts';
import type { SettingFlags } from '../settings.ts';
import type { Terminal } from '../terminal.ts';

/** Options of `sluice serve`. */
export type ServeFlags = SettingFlags;

/** What `serve` says on stdout when clients may come; JSON unless stdout is a terminal. */
interface Ready {
  readonly evt: 'node.ready';
  readonly quic: string;
  readonly tls: string | undefined;
  readonly http: string | undefined;
  readonly grpc: string | undefined;
  /** Authority that clients must trust; undefined where the certificate was configured. */
  readonly ca: string | undefined;
  readonly dataDir: string;
  readonly pid: number;
}

/**
 * Runs a node until the terminal is interrupted, then drains it. SIGHUP makes it read its certificates again, unless it runs in
 * a terminal.
 *
 * @throws INVALID_CONFIG, DATA_DIR_LOCKED, ADDRESS_IN_USE, STORAGE_FAILED
 */
export async function serve(flags: ServeFlags, terminal: Terminal): Promise<void> {
  keepYoungGenerationSmall();
  compileEarly();
  const loaded = await loadSettings(flags, terminal);
  const { settings } = loaded;
  const log = logger(loaded, terminal);
  const allowance = new GarbageAllowance(systemClock);
  allowance.start();
  await using node = await start(settings, log);
  const { quic, tls, http, grpc } = node.addresses;
  const dataDir = resolve(terminal.folder, settings.dataDir);
  const ready: Ready = {
    evt: 'node.ready',
    quic: url('quic', quic),
    tls: tls === undefined ? undefined : url('tls', tls),
    http: http && url(settings.http.tls ? 'https' : 'http', http),
    grpc: grpc && url(settings.grpc.plaintext ? 'grpc' : 'grpcs', grpc),
    ca: node.authorityFile === undefined ? undefined : resolve(terminal.folder, node.authorityFile),
    dataDir,
    pid: process.pid,
  };
  const addresses = [quic, ...(tls === undefined ? [] : [tls])];
  const forget = addresses.map((at) => note(at, ready, terminal.env, log));
  // The end of a terminal still ends the node that was started there by hand.
  if (!terminal.stdout.isTTY) terminal.onHangup(() => void node.reloadCertificates());
  terminal.stdout.line(terminal.stdout.isTTY ? banner(ready) : JSON.stringify(ready));
  await interruption(terminal);
  for (const one of forget) one();
  await node.drain();
  allowance.stop();
}

/** Starts a node, and collects what starting leaves; before it joins a cluster, because the others rely on a member from then on. */
async function start(settings: Settings, log: Logger): Promise<Node> {
  if (settings.cluster !== null) {
    collectGarbage();
    return Node.start(settings, { log });
  }
  const node = await Node.start(settings, { log });
  collectGarbage();
  return node;
}

/**
 * Leaves word of this node for the commands of its user. Where that cannot be, as in a container whose files are read-only, they have to be
 * told where it is.
 * @returns takes it away again
 */
function note(at: ListenAddress, ready: Ready, env: Terminal['env'], log: Logger): () => void {
  const { quic, http, ca, dataDir, pid } = ready;
  try {
    return registerServer(env, at, { url: quic, http, ca, dataDir, pid });
  } catch (error) {
    log.warn('servers.not_noted', { error });
    return () => undefined;
  }
}

/** As configured; where nothing is, text for a person at a terminal and JSON for everybody else. */
function logger({ settings, values }: LoadedConfig, { stderr }: Terminal): Logger {
  const format = values.find(({ entry }) => entry.path === 'log.format');
  const forPerson = stderr.isTTY && format?.origin === 'default';
  return createLogger({
    level: settings.log.level,
    format: forPerson ? 'text' : settings.log.format,
    fields: { node: settings.node.id },
  });
}

function banner(ready: Ready): string {
  const where = facts([
    ['QUIC', ready.quic],
    ...(ready.tls === undefined ? [] : [['TLS', ready.tls] as const]),
    ...(ready.http === undefined ? [] : [['HTTP', `${ready.http}/metrics`] as const]),
    ...(ready.grpc === undefined ? [] : [['gRPC', ready.grpc] as const]),
    ['data', ready.dataDir],
  ]);
  const server = ready.quic.endsWith(':7450') ? '' : ` --server ${ready.quic}`;
  return [
    'Sluice is ready.\n',
    where,
    '\nIn another terminal:',
    `  sluice pub greetings hello${server}`,
    `  sluice sub greetings --from earliest${server}`,
    'Ctrl-C stops it.\n',
  ].join('\n');
}

function url(scheme: string, { host, port }: ListenAddress): string {
  return `${scheme}://${hostPort(host, port)}`;
}

function interruption({ interrupted }: Terminal): Promise<void> {
  return new Promise((done) => {
    if (interrupted.aborted) done();
    else interrupted.addEventListener('abort', () => done(), { once: true });
  });
}
