import type { AddressInfo, Server } from 'node:net';
import { SluiceError } from '../kernel/errors.ts';

/**
 * Binds a TCP server, TLS or not. A connection that cannot be accepted later is nothing to it.
 *
 * @param setting of the configuration that names the address
 * @returns where it listens
 * @throws ADDRESS_IN_USE, INVALID_CONFIG
 */
export async function listenTcp(
  server: Server,
  { host, port }: { readonly host: string; readonly port: number },
  setting: string,
): Promise<AddressInfo> {
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  server.once('error', reject);
  server.listen(port, host, () => resolve(undefined));
  try {
    await promise;
  } catch (error) {
    throw bindError(`${host}:${port}/tcp (${setting})`, error);
  }
  server.off('error', reject);
  server.on('error', () => undefined);
  return server.address() as AddressInfo;
}

/**
 * Why an address cannot be listened on: ADDRESS_IN_USE or INVALID_CONFIG.
 *
 * @param where the address, and the setting that names it
 * @param cause the system's error
 */
export function bindError(where: string, cause: unknown): SluiceError {
  const { code, message } = cause as NodeJS.ErrnoException;
  if (code === 'EADDRINUSE') return new SluiceError('ADDRESS_IN_USE', `${where} is taken`, { cause });
  return new SluiceError('INVALID_CONFIG', `${where} cannot be bound: ${message}`, { cause });
}
