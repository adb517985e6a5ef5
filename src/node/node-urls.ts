import type { Listener } from '../transport/transport.ts';

/** Addresses that stand for every interface: no client can connect to them. */
const EVERY_INTERFACE: ReadonlySet<string> = new Set(['0.0.0.0', '::']);
const LOOPBACK = /^(localhost|::1|127\..*)$/;

/**
 * Where clients reach this node: what it listens on, or, where that is every interface, the first name that is not this machine's
 * own.
 *
 * @param listeners by the scheme of their transport
 * @param names of the node's certificate
 */
export function nodeUrls(listeners: ReadonlyMap<string, Listener>, names: readonly string[]): string[] {
  const outside = names.find((name) => !LOOPBACK.test(name) && !name.startsWith('*'));
  return [...listeners].flatMap(([scheme, { host, port }]) => {
    const reachable = EVERY_INTERFACE.has(host) ? outside : host;
    if (reachable === undefined) return [];
    return [`${scheme}://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`];
  });
}
