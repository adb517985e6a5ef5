import { SluiceError } from '../../kernel/errors.ts';

/** Where a broker listens. */
export interface BrokerUrl {
  /** `quic`, or `tls` for HTTP/2. */
  readonly scheme: string;
  /** Name or IP address, IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  /** The URL in full, for people. */
  readonly text: string;
}

const DEFAULT_PORT = 7450;
const PATTERN = /^(?:([a-z][a-z0-9]*):\/\/)?(?:\[([0-9a-fA-F:.]+)\]|([^:/[\]\s,]+))(?::(\d{1,5}))?\/?$/;

/**
 * Reads `quic://host:port`, `tls://host:port` and the like; scheme (quic) and port (7450) may be left out.
 *
 * @throws INVALID_ARGUMENT when it is no such URL
 */
export function parseBrokerUrl(text: string): BrokerUrl {
  const match = PATTERN.exec(text.trim());
  const port = Number(match?.[4] ?? DEFAULT_PORT);
  if (match === null || port < 1 || port > 65_535) {
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `'${text}' is no broker URL: write quic://HOST:PORT or tls://HOST:PORT`,
    );
  }
  const scheme = match[1] ?? 'quic';
  const host = match[2] ?? match[3]!;
  return { scheme, host, port, text: `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}` };
}

/**
 * Reads one or more URLs, in one text separated by commas or as a list.
 *
 * @throws INVALID_ARGUMENT when there is none or one is wrong
 */
export function parseBrokerUrls(urls: string | readonly string[]): readonly BrokerUrl[] {
  const texts = (typeof urls === 'string' ? [urls] : urls).flatMap((text) => text.split(','));
  const parsed = texts.filter((text) => text.trim() !== '').map(parseBrokerUrl);
  if (parsed.length === 0) throw new SluiceError('INVALID_ARGUMENT', 'no broker URL was given');
  return parsed;
}

/** Those of a broker's own URLs that this client can read; a newer broker may name what it does not know. @param scheme only those with it; undefined: all */
export function readableUrls(texts: readonly string[], scheme?: string): readonly BrokerUrl[] {
  return texts.flatMap((text) => {
    try {
      const url = parseBrokerUrl(text);
      return scheme === undefined || url.scheme === scheme ? [url] : [];
    } catch {
      return [];
    }
  });
}
