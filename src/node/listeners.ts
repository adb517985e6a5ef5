import type { ListenAddress } from '../config/kinds.ts';
import { createHttp2Transport } from '../transport/http2/http2-transport.ts';
import { createQuicTransport } from '../transport/quic/quic-transport.ts';
import type { Transport } from '../transport/transport.ts';
import type { Core } from './core.ts';
import { transportLimits } from './derived-limits.ts';
import { loadResetKey } from './reset-key.ts';

/** Opens the listeners for clients, QUIC and HTTP/2; from then on their certificates are renewed. @throws ADDRESS_IN_USE, INVALID_CONFIG, UNSUPPORTED */
export async function openListeners(core: Core, parts: AsyncDisposableStack): Promise<void> {
  const { settings, clock, random, log } = core;
  const onFault = (error: unknown): void => log.error('transport.fault', { error });
  const resetKey = await loadResetKey(settings.dataDir, random);
  await open(core, parts, createQuicTransport({ clock, random, onFault, resetKey }), settings.quic.listen);
  if (settings.tls.listen) await open(core, parts, createHttp2Transport({ clock }), settings.tls.listen);
  core.certificates.watch(() => [...core.listeners.values(), ...core.secured]);
}

async function open(
  core: Core,
  parts: AsyncDisposableStack,
  transport: Transport,
  { host, port }: ListenAddress,
): Promise<void> {
  const { settings, certificates, gateway, listeners } = core;
  const { identity, clientAuthoritiesPem } = certificates.current;
  const listener = await transport.listen(
    {
      host,
      port,
      identity,
      clientAuthoritiesPem,
      requireClientCertificate: settings.tls.requireClientCertificate,
      limits: transportLimits(settings),
    },
    gateway.accept,
  );
  parts.defer(() => listener.close());
  listeners.set(transport.scheme, listener);
}
