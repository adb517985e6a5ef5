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
/** How Node's codes end for the alert of who knows none of the protocols that it is offered. @see RFC 7301 section 3.2 */
const REFUSED_PROTOCOL = '_ALERT_NO_APPLICATION_PROTOCOL';

/**
 * Opens a stream on a connection of its own; what is written before it is there waits for it.
 *
 * The stream ends with UNAVAILABLE when the connection cannot be made or is lost, with CERTIFICATE_REJECTED when the other node is not the one that is meant,
 * with VERSION_MISMATCH when it does not speak {@link BULK_PROTOCOL}: it is older, or so much newer that it has left that behind.
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
  // Where something waits to be written Node reports an alert of the other end as EPROTO: which one it was is in the text only.
  socket.cork();
  socket.once('secureConnect', () => {
    if (socket.alpnProtocol === BULK_PROTOCOL) socket.uncork();
    else bulk.cut(otherVersion());
  });
  socket.once('error', (error: NodeJS.ErrnoException) => {
    if (error.code?.endsWith(REFUSED_PROTOCOL)) bulk.cut(otherVersion(error));
  });
  const bulk = new BulkSocket(socket, { settings, clock });
  return callingBulkStream(bulk, method);
}

/** @param cause undefined: the other end has chosen no protocol instead of refusing */
function otherVersion(cause?: Error): SluiceError {
  const text = `it does not speak ${BULK_PROTOCOL}, which carries streams between nodes: run the same version of Sluice on all nodes of the cluster`;
  return new SluiceError('VERSION_MISMATCH', text, { cause });
}
