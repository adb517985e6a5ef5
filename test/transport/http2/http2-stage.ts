import { systemClock } from '../../../src/kernel/system-clock.ts';
import { createHttp2Transport } from '../../../src/transport/http2/http2-transport.ts';
import type { Connection, TransportLimits } from '../../../src/transport/transport.ts';
import { TransportStage, tlsCredentials } from '../../support/transport-stage.ts';
import { greeting, RawHttp2 } from './raw-http2.ts';

/** A stage of the contract for tests of HTTP/2 alone. */
export function http2Stage(): TransportStage {
  return new TransportStage({
    create: () => createHttp2Transport({ clock: systemClock }),
    credentials: tlsCredentials,
    datagrams: false,
    verifies: true,
  });
}

/** A stranger that has greeted, and the server's end of its connection. */
export async function rawPair(
  stage: TransportStage,
  options: { readonly first?: Buffer; readonly limits?: Partial<TransportLimits> } = {},
): Promise<{ raw: RawHttp2; server: Connection; port: number }> {
  const accepted = Promise.withResolvers<Connection>();
  const { port } = await stage.listen({ limits: stage.limits(options.limits) }, accepted.resolve);
  const raw = await RawHttp2.connect(port, stage.credentials.authorityPem, options.first);
  raw.send(greeting());
  return { raw, server: await accepted.promise, port };
}
