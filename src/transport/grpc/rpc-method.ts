import type { DescMessage, DescMethod, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { SluiceError } from '../../kernel/errors.ts';
import { checkEntries } from './message-entries.ts';

/** Fields of newer versions are dropped, not kept: nobody here passes messages on. */
const READ_OPTIONS = { readUnknownFields: false } as const;

/**
 * Bytes of a message on their way into gRPC: a Buffer, or what is still in pieces. grpc-js copies each message once, behind its framing, and asks for
 * nothing else; so pieces are copied together only there. They must not change until then.
 */
export interface MessageBytes {
  readonly length: number;
  readonly byteLength: number;
  /** Copies all of it to `start`. @returns how many bytes that were */
  copy(target: Buffer, start?: number): number;
}

/**
 * For grpc-js, whose types know no message but a Buffer. That it asks for no more than {@link MessageBytes} holds for the version that package.json
 * names exactly; a test of the server sees it.
 */
export function asSerialized(message: MessageBytes): Buffer {
  return message as Buffer;
}

/** How the code's own data becomes the bytes of a protobuf message and comes back. */
export interface MessageCodec<T> {
  encode(message: T): MessageBytes;
  /** @param bytes a message; what is decoded may be views of it. @throws PROTOCOL_ERROR, or what reading a field throws */
  decode(bytes: Buffer): T;
}

/** One method of a service. */
export interface RpcMethod<In, Out> {
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly request: MessageCodec<In>;
  readonly response: MessageCodec<Out>;
}

/** A method of a generated service, spoken in terms of the code's own data. */
export function rpcMethod<In, Out>(
  method: DescMethod,
  request: MessageCodec<In>,
  response: MessageCodec<Out>,
): RpcMethod<In, Out> {
  return { path: `/${method.parent.typeName}/${method.name}`, request, response };
}

/** Bytes of a protobuf message. @throws INVALID_ARGUMENT when a field does not fit its type */
export function encodeMessage<Desc extends DescMessage>(
  schema: Desc,
  message: MessageInitShape<Desc>,
): Buffer {
  let bytes: Uint8Array;
  try {
    bytes = toBinary(schema, create(schema, message));
  } catch (cause) {
    throw new SluiceError('INVALID_ARGUMENT', `cannot encode ${schema.typeName}: ${String(cause)}`, {
      cause,
    });
  }
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * A protobuf message that has, as field 15, a list of buffers. protobuf-es copies those several times while its buffer grows; here they stay where
 * they are.
 *
 * @param message the other fields
 */
export function encodeWithBatches<Desc extends DescMessage>(
  schema: Desc,
  message: MessageInitShape<Desc>,
  batches: readonly Buffer[],
): MessageBytes {
  return new MessageWithBatches(encodeMessage(schema, message), batches);
}

class MessageWithBatches implements MessageBytes {
  readonly length: number;
  readonly #head: Buffer;
  readonly #batches: readonly Buffer[];

  constructor(head: Buffer, batches: readonly Buffer[]) {
    this.#head = head;
    this.#batches = batches;
    let bytes = head.length;
    for (const batch of batches) bytes += 1 + lengthBytes(batch.length) + batch.length;
    this.length = bytes;
  }

  get byteLength(): number {
    return this.length;
  }

  copy(target: Buffer, start = 0): number {
    let at = start + this.#head.copy(target, start);
    for (const batch of this.#batches) {
      target[at++] = BATCHES_TAG;
      at = writeLength(target, batch.length, at);
      at += batch.copy(target, at);
    }
    return at - start;
  }
}

/** Reads a protobuf message; fields of type bytes are views of `bytes`. @throws PROTOCOL_ERROR when it is none; OVERLOADED when it has too many entries */
export function decodeMessage<Desc extends DescMessage>(schema: Desc, bytes: Buffer): MessageShape<Desc> {
  try {
    checkEntries(schema, bytes);
    return fromBinary(schema, bytes, READ_OPTIONS);
  } catch (cause) {
    if (cause instanceof SluiceError) throw cause;
    throw new SluiceError('PROTOCOL_ERROR', `not a ${schema.typeName}: ${String(cause)}`, { cause });
  }
}

/** Field 15, length-delimited. */
const BATCHES_TAG = (15 << 3) | 2;

function lengthBytes(length: number): number {
  let bytes = 1;
  for (let rest = length >>> 7; rest > 0; rest >>>= 7) bytes += 1;
  return bytes;
}

function writeLength(target: Buffer, length: number, at: number): number {
  let end = at;
  let rest = length;
  for (; rest > 0x7f; rest >>>= 7) target[end++] = (rest & 0x7f) | 0x80;
  target[end++] = rest;
  return end;
}
