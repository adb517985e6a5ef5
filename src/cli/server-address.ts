import { SluiceError } from '../kernel/errors.ts';

/** Ports of a node when nothing else is said: QUIC (udp) and HTTP (tcp). */
export const DEFAULT_PORTS = { quic: 7450, http: 7451 } as const;

/** Server of every command when neither `--server` nor `SLUICE_SERVER` names one. */
export const DEFAULT_SERVER = `quic://127.0.0.1:${DEFAULT_PORTS.quic}`;

/** One address out of `--server`. */
export interface ServerAddress {
  readonly scheme: 'quic' | 'tls';
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
}

/**
 * Reads `--server`: `quic://host:port` or `tls://host:port`, several separated by commas; scheme and port may be left out.
 *
 * @throws INVALID_ARGUMENT when a part is no such address
 */
export function parseServers(text: string): readonly ServerAddress[] {
  return text.split(',').map((part) => parseServer(part.trim()));
}

/** The address as a URL, IPv6 in brackets. */
export function serverUrl(address: ServerAddress): string {
  return `${address.scheme}://${hostPort(address.host, address.port)}`;
}

/** `host:port`, IPv6 in brackets. */
export function hostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Whether only this machine can reach `host`. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}

function parseServer(text: string): ServerAddress {
  const match = /^(?:(quic|tls):\/\/)?(?:\[([0-9a-fA-F:.]+)\]|([^:/[\]\s]+))(?::(\d{1,5}))?\/?$/.exec(text);
  const port = Number(match?.[4] ?? DEFAULT_PORTS.quic);
  if (match === null || port < 1 || port > 65535) {
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `'${text}' is no server address. Write quic://HOST:PORT or tls://HOST:PORT.`,
    );
  }
  return { scheme: match[1] === 'tls' ? 'tls' : 'quic', host: match[2] ?? match[3]!, port };
}
