import { Client } from './client.ts';
import type { ConnectOptions } from './connection/connect-options.ts';
import { resolveOptions } from './connection/connect-options.ts';
import { ConnectionSupervisor } from './connection/connection-supervisor.ts';
import { createDial } from './connection/dial.ts';
import { NodeLinks } from './connection/node-links.ts';
import type { ClientPorts } from './ports.ts';
import { SYSTEM_PORTS } from './ports.ts';
import { Transports } from './connection/transports.ts';

/** Name and protocol generation of this library, for the broker's logs. */
const SOFTWARE = `sluice-js/1 node/${process.versions.node}`;

/**
 * Connects to a broker.
 *
 * @param urls `quic://host:port` (QUIC) or `tls://host:port` (HTTP/2 over TLS), several as a list or separated by commas: they
 *   are tried in turn. Default `SLUICE_SERVER`, else `quic://127.0.0.1:7450`
 * @throws TIMEOUT when no broker answered in time; CANCELLED by `options.signal`; CERTIFICATE_REJECTED, UNAUTHENTICATED,
 *   VERSION_MISMATCH when no URL is of use; INVALID_ARGUMENT, INVALID_CONFIG, UNSUPPORTED for options that cannot be
 */
export function connect(urls?: string | readonly string[], options: ConnectOptions = {}): Promise<Client> {
  return connectWith(SYSTEM_PORTS, urls, options);
}

/** {@link connect} with time and randomness of one's own, for tests. */
export async function connectWith(
  ports: ClientPorts,
  urls: string | readonly string[] | undefined,
  options: ConnectOptions,
): Promise<Client> {
  const release = ports.hold();
  try {
    const resolved = await resolveOptions(urls, options, process.env);
    const dial = createDial(resolved, ports, new Transports(ports, resolved.transport), SOFTWARE);
    const supervisor = new ConnectionSupervisor(resolved, ports, dial);
    await supervisor.start();
    supervisor.events.on('closed', release);
    const links = resolved.direct ? new NodeLinks(dial, ports) : undefined;
    if (links !== undefined) supervisor.attach(links);
    return new Client(supervisor, resolved, ports, links);
  } catch (error) {
    release();
    throw error;
  }
}
