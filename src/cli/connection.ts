import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Client, ConnectOptions } from '../client/index.ts';
import { connect } from '../client/index.ts';
import { asSluiceError, SluiceError } from '../kernel/errors.ts';
import { findServer } from './running-servers.ts';
import { DEFAULT_SERVER, isLoopback, parseServers, serverUrl } from './server-address.ts';
import type { ServerAddress } from './server-address.ts';
import type { Terminal } from './terminal.ts';

/** How long a command tries to connect, all addresses together. */
const CONNECT_TIMEOUT_MS = 5000;

/** How long an interrupted command may take to finish in order. */
const PATIENCE_MS = 3000;

/** Options that every command with a connection has. */
export interface ConnectionFlags {
  readonly server?: string;
  readonly ca?: string;
  readonly token?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** Where to connect and what to show there. Files are absolute paths. */
export interface ConnectionPlan {
  readonly url: string;
  /** undefined: the authorities that Node trusts. */
  readonly ca: string | undefined;
  /** All servers are of this machine, and none has left word whom to trust there: most likely none runs. */
  readonly isStrange: boolean;
  readonly token: string | undefined;
  readonly certificate: string | undefined;
  readonly key: string | undefined;
}

/**
 * Decides from flags, then environment, then what this machine knows, where to connect.
 *
 * The authority of a loopback server is found without being named: in the note that `sluice serve` left (running-servers.ts), else in
 * `./sluice-data/tls/ca.pem`. For other servers the authorities that Node trusts are the default. A server is always verified.
 *
 * @throws INVALID_ARGUMENT for a bad address, a missing file, a certificate without key
 */
export function planConnection(flags: ConnectionFlags, terminal: Terminal): ConnectionPlan {
  const { env } = terminal;
  const addresses = parseServers(flags.server ?? filled(env['SLUICE_SERVER']) ?? DEFAULT_SERVER);
  const url = addresses.map(serverUrl).join(',');
  const certificate = fileOption(terminal, '--cert', flags.cert ?? filled(env['SLUICE_CERT']));
  const key = fileOption(terminal, '--key', flags.key ?? filled(env['SLUICE_KEY']));
  if ((certificate === undefined) !== (key === undefined)) {
    throw new SluiceError('INVALID_ARGUMENT', 'A client certificate needs both --cert and --key.');
  }
  const ca =
    fileOption(terminal, '--ca', flags.ca ?? filled(env['SLUICE_CA'])) ?? knownAuthority(terminal, addresses);
  return {
    url,
    ca,
    isStrange: ca === undefined && addresses.every(({ host }) => isLoopback(host)),
    certificate,
    key,
    token: readToken(terminal, flags.token ?? filled(env['SLUICE_TOKEN'])),
  };
}

/**
 * Connects, calls `use`, and closes the connection whatever happened.
 *
 * @throws CONNECT_FAILED and what {@link planConnection} throws; CANCELLED when interrupted while connecting; whatever `use` throws
 */
export async function withClient<T>(
  terminal: Terminal,
  flags: ConnectionFlags,
  use: (client: Client) => Promise<T>,
): Promise<T> {
  const client = await openClient(terminal, flags, 'sluice-cli');
  const working = (async () => {
    try {
      return await use(client);
    } finally {
      await client.close();
    }
  })();
  return Promise.race([working, outOfPatience(terminal)]);
}

/** Rejects some time after an interrupt: a node that is away must not keep a command that was told to stop. */
function outOfPatience({ clock, interrupted }: Terminal): Promise<never> {
  return new Promise((_, reject) => {
    const wait = (): void => {
      clock.setTimer(PATIENCE_MS, () =>
        reject(new SluiceError('CANCELLED', 'interrupted before the node had answered everything')),
      );
    };
    if (interrupted.aborted) wait();
    else interrupted.addEventListener('abort', wait, { once: true });
  });
}

/** Connects as `clientId`; the caller closes. @throws as {@link withClient} */
export async function openClient(
  terminal: Terminal,
  flags: ConnectionFlags,
  clientId: string,
): Promise<Client> {
  const plan = planConnection(flags, terminal);
  const options: ConnectOptions = {
    clientId,
    token: plan.token ?? '',
    timeoutMs: CONNECT_TIMEOUT_MS,
    signal: terminal.interrupted,
    ...(plan.ca !== undefined && { ca: plan.ca }),
    ...(plan.certificate !== undefined &&
      plan.key !== undefined && { certificate: plan.certificate, key: plan.key }),
  };
  try {
    // Nobody waits for a node that nobody has started: one attempt tells whether one is there, and whether it is trusted.
    if (plan.isStrange)
      await (await connect(plan.url, { ...options, reconnect: { maxAttempts: 1 } })).close();
    return await connect(plan.url, options);
  } catch (error) {
    const known = asSluiceError(error, 'CONNECT_FAILED');
    const why = known.cause instanceof SluiceError ? known.cause : known;
    // The SDK has tried for a while; why the last attempt failed says more than that time is up.
    if (known.code === 'TIMEOUT') throw new SluiceError('CONNECT_FAILED', why.message, { cause: known });
    // What the SDK advises is about its options; the command line has its own.
    throw known.code === 'CERTIFICATE_REJECTED' || known.code === 'UNAUTHENTICATED' ? why : known;
  }
}

function knownAuthority(terminal: Terminal, addresses: readonly ServerAddress[]): string | undefined {
  const local = addresses.find((address) => isLoopback(address.host));
  if (local === undefined) return undefined;
  const noted = findServer(terminal.env, local)?.ca;
  return [noted, resolve(terminal.folder, 'sluice-data/tls/ca.pem')].find(
    (file) => file !== undefined && existsSync(file),
  );
}

function fileOption(terminal: Terminal, option: string, path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  const file = resolve(terminal.folder, path);
  if (!existsSync(file)) throw new SluiceError('INVALID_ARGUMENT', `${option}: there is no file ${path}.`);
  return file;
}

function readToken(terminal: Terminal, token: string | undefined): string | undefined {
  if (token?.startsWith('@') !== true) return token;
  const file = fileOption(terminal, '--token', token.slice(1))!;
  return readFileSync(file, 'utf8').trim();
}

function filled(value: string | undefined): string | undefined {
  return value === '' ? undefined : value;
}
