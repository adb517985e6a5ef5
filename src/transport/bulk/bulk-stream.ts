import type { ErrorCode } from '../../kernel/errors.ts';
import { ERRORS, SluiceError } from '../../kernel/errors.ts';
import { DuplexStream } from '../grpc/duplex-stream.ts';
import type { MessageStream } from '../grpc/message-stream.ts';
import type { RpcMethod } from '../grpc/rpc-method.ts';
import type { BulkSocket } from './bulk-socket.ts';
import { KIND } from './frames.ts';

/** The calling end of a stream, on a connection to the other node that is there or on its way. @see callingStream */
export function callingBulkStream<In, Out>(
  socket: BulkSocket,
  method: RpcMethod<In, Out>,
): MessageStream<In, Out> {
  const stream = new DuplexStream(socket, method.request, method.response, {
    well: () => socket.sendLast(),
    badly: () => socket.cut(),
  });
  socket.sendOpen(method.path);
  return follow(socket, stream, (error) => {
    stream.finish(error);
    socket.cut();
  });
}

/** The called end. @see calledStream */
export function calledBulkStream<In, Out>(
  socket: BulkSocket,
  method: RpcMethod<In, Out>,
): MessageStream<Out, In> {
  const end = (error?: SluiceError): void => {
    socket.sendEnd(error);
    stream.finish(error);
  };
  const stream: DuplexStream<Out, In> = new DuplexStream(socket, method.response, method.request, {
    well: end,
    badly: end,
  });
  return follow(socket, stream, (error) => stream.end(error));
}

function follow<Out, In>(
  socket: BulkSocket,
  stream: DuplexStream<Out, In>,
  onEnd: (error: SluiceError | undefined) => void,
): MessageStream<Out, In> {
  socket.onFrame = (kind, payload) => {
    if (kind === KIND.message) stream.take(payload);
    else if (kind === KIND.end) onEnd(decodeEnd(payload));
    else throw new SluiceError('PROTOCOL_ERROR', 'a stream that is open cannot be opened again');
  };
  socket.onGone = (error) => stream.finish(error);
  return stream;
}

function decodeEnd(payload: Buffer): SluiceError | undefined {
  if (payload.length === 0) return undefined;
  const text = payload.toString();
  const lineEnd = text.indexOf('\n');
  const code = text.slice(0, lineEnd);
  return new SluiceError(
    Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : 'INTERNAL',
    text.slice(lineEnd + 1),
  );
}
