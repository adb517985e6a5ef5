import type { DescMessage, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { SluiceError } from '../kernel/errors.ts';
import type { FrameLimits, FrameType } from './frame.ts';
import { CONTROL_MAX_BYTES, encodeFrame, frameName, maxPayloadBytes } from './frame.ts';

/** Fields of newer versions are dropped, not kept: nobody here forwards messages. */
const READ_OPTIONS = { readUnknownFields: false } as const;
const LIMITS: FrameLimits = { maxFrameBytes: CONTROL_MAX_BYTES, maxControlBytes: CONTROL_MAX_BYTES };

/**
 * A whole frame that carries a protobuf message.
 *
 * @param topic only STREAM_OPEN has one
 * @param limits where the frame may be larger than on a control stream
 * @throws FRAME_TOO_LARGE when the message is larger than a control frame may be (64 KiB; 1 MiB for REQUEST, 4 MiB for RESPONSE): the caller answers with that
 *   error instead; INVALID_ARGUMENT when a field does not fit its protobuf type
 */
export function encodeControl<Desc extends DescMessage>(
  type: FrameType,
  schema: Desc,
  message: MessageInitShape<Desc>,
  topic = '',
  limits: FrameLimits = LIMITS,
): Buffer {
  let payload: Uint8Array;
  try {
    payload = toBinary(schema, create(schema, message));
  } catch (error) {
    throw new SluiceError('INVALID_ARGUMENT', `cannot encode ${schema.typeName}: ${String(error)}`, {
      cause: error,
    });
  }
  const limit = maxPayloadBytes(type, limits);
  if (payload.length > limit) {
    throw new SluiceError(
      'FRAME_TOO_LARGE',
      `a ${frameName(type)} of ${payload.length} bytes does not fit a control frame (${limit}); ask for less at a time`,
    );
  }
  return encodeFrame(type, topic, payload);
}

/**
 * Reads the protobuf message of a control frame. Fields of type bytes are views of `payload`.
 *
 * @throws PROTOCOL_ERROR when the payload is not such a message
 */
export function decodeControl<Desc extends DescMessage>(
  schema: Desc,
  payload: Uint8Array,
): MessageShape<Desc> {
  try {
    return fromBinary(schema, payload, READ_OPTIONS);
  } catch (error) {
    throw new SluiceError('PROTOCOL_ERROR', `not a ${schema.typeName}: ${String(error)}`, { cause: error });
  }
}
