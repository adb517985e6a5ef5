import type { Clock } from '../../kernel/clock.ts';
import type { Transport } from '../transport.ts';
import { connectClient } from './http2-client.ts';
import { Http2Listener } from './http2-listener.ts';

/**
 * Creates the transport for networks that block UDP: the native protocol's streams on HTTP/2 over TLS 1.3.
 *
 * Every stream has its own window, so a stalled one holds up no other; only isolation from packet loss is gone. There are no
 * datagrams. `reset` and `stop` of one half of a bidirectional stream end the other half too, because RST_STREAM does.
 * `setPriority` has no effect.
 *
 * @see docs/http2-transport.md
 */
export function createHttp2Transport({ clock }: { readonly clock: Clock }): Transport {
  return {
    scheme: 'tls',
    listen: (options, onConnection) => Http2Listener.open(options, clock, onConnection),
    connect: (options) => connectClient(options, clock),
  };
}
