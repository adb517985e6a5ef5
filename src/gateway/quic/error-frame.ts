import type { SluiceError } from '../../kernel/errors.ts';
import { ErrorSchema } from '../../gen/sluice/client/v1/control_pb.ts';
import { encodeControl } from '../../wire/control.ts';
import { FRAME } from '../../wire/frame.ts';

/** Longest text of an error, UTF-16 units: texts may quote what a client sent. */
const TEXT_MAX = 1000;

/** A whole ERROR frame. @param correlationId the request's; 0 when it is about the stream or the connection */
export function errorFrame(correlationId: number, error: SluiceError): Buffer {
  const message = error.message.slice(0, TEXT_MAX);
  return encodeControl(FRAME.ERROR, ErrorSchema, { correlationId, code: error.wire, message });
}
