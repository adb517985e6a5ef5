import { getCACertificates } from 'node:tls';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { SluiceError } from '../../kernel/errors.ts';
import { DEFAULT_LIMITS } from '../../transport/limits.ts';
import type { TlsIdentity, Transport, TransportLimits } from '../../transport/transport.ts';
import type { BackoffRange } from '../../kernel/backoff.ts';
import type { BrokerUrl } from './broker-url.ts';
import { parseBrokerUrls } from './broker-url.ts';

/** When and how long a client tries to come back after it has lost its broker. */
export interface ReconnectOptions {
  /** Longest first wait, milliseconds. Default 100. */
  readonly minDelayMs?: number;
  /** Longest wait, milliseconds. Default 5,000. */
  readonly maxDelayMs?: number;
  /** Rounds through all URLs before the client gives up and closes. Default: never. */
  readonly maxAttempts?: number;
}

/** How to connect. What is left out comes from the environment (`SLUICE_…`) or has the default named. */
export interface ConnectOptions {
  /** Authority that issued the broker's certificate: PEM text or path of a PEM file. Default `SLUICE_CA`, else what Node trusts. */
  readonly ca?: string;
  /** The client's own certificate: PEM text or path. Needs `key`. Default `SLUICE_CERT`. */
  readonly certificate?: string;
  /** Private key of `certificate`: PEM text or path. Default `SLUICE_KEY`. */
  readonly key?: string;
  /** Token (`slt_…`) that says who the client is. Default `SLUICE_TOKEN`. */
  readonly token?: string;
  /** Name of this client in the broker's logs and status. Default: program name and process id. */
  readonly clientId?: string;
  /** Name that the broker's certificate must carry, where it is not the host of the URL. */
  readonly serverName?: string;
  /** Time for the first connection, all URLs and attempts together, milliseconds. Default 15,000. */
  readonly timeoutMs?: number;
  /** Time for one attempt at one URL, milliseconds. Default 5,000. */
  readonly attemptTimeoutMs?: number;
  /** Time for the answer of a request (metadata, administration), milliseconds. Default 15,000. */
  readonly requestTimeoutMs?: number;
  /** Gives up the first connection, with CANCELLED. */
  readonly signal?: AbortSignal;
  readonly reconnect?: ReconnectOptions;
  /**
   * Whether producers send to the nodes that lead partitions directly, each over a connection of its own, instead of having everything
   * forwarded by the node that the client is connected to. Default true.
   */
  readonly direct?: boolean;
  /** Windows and timeouts of the transport. */
  readonly limits?: Partial<TransportLimits>;
  /** Carries every scheme instead of QUIC and HTTP/2; for tests. */
  readonly transport?: Transport;
}

/** {@link ConnectOptions} with everything decided. */
export interface ResolvedOptions {
  readonly urls: readonly BrokerUrl[];
  readonly authoritiesPem: string;
  /** Whether the authorities were given, and not Node's own. */
  readonly ownAuthorities: boolean;
  readonly identity: TlsIdentity | undefined;
  readonly token: string;
  readonly clientId: string;
  readonly serverName: string | undefined;
  readonly timeoutMs: number;
  readonly attemptTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly signal: AbortSignal | undefined;
  readonly backoff: BackoffRange;
  readonly maxAttempts: number;
  readonly direct: boolean;
  readonly limits: TransportLimits;
  readonly transport: Transport | undefined;
}

/** Where the authority of a broker is that nobody gave a certificate. */
export const OWN_AUTHORITY = 'a broker that made its own authority has it in <data directory>/tls/ca.pem';

const CERTIFICATE = /-----BEGIN (X509 |TRUSTED )?CERTIFICATE-----/;

const DEFAULT_URL = 'quic://127.0.0.1:7450';

/**
 * Decides everything that was left open and reads the files that are named.
 *
 * @param env where `SLUICE_SERVER`, `SLUICE_CA`, `SLUICE_CERT`, `SLUICE_KEY` and `SLUICE_TOKEN` are looked up
 * @throws INVALID_ARGUMENT when a URL is wrong; INVALID_CONFIG when a file cannot be read or holds no PEM, or `ca` no certificate
 */
export async function resolveOptions(
  urls: string | readonly string[] | undefined,
  options: ConnectOptions,
  env: Readonly<Record<string, string | undefined>>,
): Promise<ResolvedOptions> {
  const { ca = env['SLUICE_CA'], certificate = env['SLUICE_CERT'], key = env['SLUICE_KEY'] } = options;
  return {
    urls: parseBrokerUrls(urls ?? env['SLUICE_SERVER'] ?? DEFAULT_URL),
    ...(await resolveAuthorities(ca)),
    identity: await readIdentity(certificate, key),
    token: options.token ?? env['SLUICE_TOKEN'] ?? '',
    clientId: options.clientId ?? `node-${process.pid}`,
    serverName: options.serverName,
    ...resolveTimes(options),
    signal: options.signal,
    direct: options.direct ?? true,
    limits: { ...DEFAULT_LIMITS, ...options.limits },
    transport: options.transport,
  };
}

function resolveTimes(
  options: ConnectOptions,
): Pick<ResolvedOptions, 'timeoutMs' | 'attemptTimeoutMs' | 'requestTimeoutMs' | 'backoff' | 'maxAttempts'> {
  const {
    minDelayMs = 100,
    maxDelayMs = 5000,
    maxAttempts = Number.POSITIVE_INFINITY,
  } = options.reconnect ?? {};
  return {
    timeoutMs: options.timeoutMs ?? 15_000,
    attemptTimeoutMs: options.attemptTimeoutMs ?? 5000,
    requestTimeoutMs: options.requestTimeoutMs ?? 15_000,
    backoff: { minMs: minDelayMs, maxMs: maxDelayMs },
    maxAttempts,
  };
}

async function resolveAuthorities(
  ca: string | undefined,
): Promise<Pick<ResolvedOptions, 'authoritiesPem' | 'ownAuthorities'>> {
  if (ca !== undefined && ca !== '') {
    const authoritiesPem = await readPem(ca, 'ca');
    if (!CERTIFICATE.test(authoritiesPem)) {
      throw new SluiceError('INVALID_CONFIG', `ca: there is no certificate in it; ${OWN_AUTHORITY}`);
    }
    return { authoritiesPem, ownAuthorities: true };
  }
  return { authoritiesPem: getCACertificates('default').join('\n'), ownAuthorities: false };
}

async function readIdentity(
  certificate: string | undefined,
  key: string | undefined,
): Promise<TlsIdentity | undefined> {
  if (certificate === undefined && key === undefined) return undefined;
  if (certificate === undefined || key === undefined) {
    throw new SluiceError('INVALID_CONFIG', 'a client certificate needs both certificate and key');
  }
  return {
    certificatePem: await readPem(certificate, 'certificate'),
    privateKeyPem: await readPem(key, 'key'),
  };
}

/** PEM text itself, or the text of the file at that path. */
async function readPem(textOrPath: string, option: string): Promise<string> {
  if (textOrPath.includes('-----BEGIN ')) return textOrPath;
  let text: string;
  try {
    text = await readFile(textOrPath, 'utf8');
  } catch (cause) {
    const isMissing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    const why = isMissing ? `there is no file ${resolve(textOrPath)}` : (cause as Error).message;
    const advice = option === 'ca' ? `; ${OWN_AUTHORITY}` : '';
    throw new SluiceError('INVALID_CONFIG', `${option}: ${why}${advice}`, { cause });
  }
  if (!text.includes('-----BEGIN '))
    throw new SluiceError('INVALID_CONFIG', `${option}: ${textOrPath} holds no PEM`);
  return text;
}
