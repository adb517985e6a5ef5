import type { OnReadOpts } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { connect, createSecureContext } from 'node:tls';
import { SluiceError } from '../../kernel/errors.ts';
import type { GrpcChannelOptions } from '../grpc/grpc-channel.ts';
import { SERVER_NAME } from '../grpc/grpc-channel.ts';
import { refusalOf, secureContextOptions } from '../grpc/grpc-tls.ts';
import type { MessageStream } from '../grpc/message-stream.ts';
import type { RpcMethod } from '../grpc/rpc-method.ts';
import { BULK_PROTOCOL } from './bulk-protocol.ts';
import { BulkSocket } from './bulk-socket.ts';
import { callingBulkStream } from './bulk-stream.ts';

/** Read at once, bytes; TLS gives at most a record, 16 KiB. */
const READ_BYTES = 32 * 1024;

/**
 * Opens a stream on a connection of its own; what is written before it is there waits for it.
 *
 * The stream ends with UNAVAILABLE when the connection cannot be made or is lost, with CERTIFICATE_REJECTED when the other node is not the one that is meant.
 * @throws INVALID_CONFIG when the certificates cannot be used
 */
export function dialBulkStream<In, Out>(
  { address, tls, settings, check, clock }: GrpcChannelOptions,
  method: RpcMethod<In, Out>,
): MessageStream<In, Out> {
  const { hostname, port } = new URL(`tls://${address}`);
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  // Node's types do not know that TLS takes `onread` as well.
  const options: ConnectionOptions & { readonly onread: OnReadOpts } = {
    ...{ host: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port), servername: SERVER_NAME },
    ALPNProtocols: [BULK_PROTOCOL],
    secureContext: createSecureContext(secureContextOptions(tls)),
    checkServerIdentity: (_, certificate) => refusalOf(check, certificate.raw),
    onread: {
      buffer,
      callback: (bytes) => {
        bulk.received(buffer.subarray(0, bytes));
        return true;
      },
    },
  };
  const socket = connect(options);
  socket.setNoDelay(true);
  socket.once('secureConnect', () => {
    if (socket.alpnProtocol !== BULK_PROTOCOL) {
      bulk.cut(new SluiceError('UNSUPPORTED', `the other node does not know ${BULK_PROTOCOL}`));
    }
  });
  const bulk = new BulkSocket(socket, { settings, clock });
  return callingBulkStream(bulk, method);
}
