import { isEveryInterface } from '../config/cluster-rules.ts';
import type { ListenAddress } from '../config/kinds.ts';
import type { Settings } from '../config/settings.ts';
import type { Listener } from '../transport/transport.ts';

const LOOPBACK = /^(localhost|::1|127\..*)$/;

/**
 * Where clients reach this node: what was configured, else what it listens on, or, where that is every interface, the first name of
 * its certificate that is not this machine's own.
 *
 * @param listeners by the scheme of their transport
 */
export function nodeUrls(
  listeners: ReadonlyMap<string, Listener>,
  { quic, tls }: Pick<Settings, 'quic' | 'tls'>,
): string[] {
  const advertised: Readonly<Record<string, ListenAddress | null>> = {
    quic: quic.advertise,
    tls: tls.advertise,
  };
  const outside = tls.names.find((name) => !LOOPBACK.test(name) && !name.startsWith('*'));
  return [...listeners].flatMap(([scheme, listener]) => {
    const { host, port } = advertised[scheme] ?? listener;
    const reachable = isEveryInterface({ host, port }) ? outside : host;
    return reachable === undefined ? [] : [`${scheme}://${hostPort({ host: reachable, port })}`];
  });
}

/** `host:port`, an IPv6 address in brackets. */
export function hostPort({ host, port }: ListenAddress): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}
