import type { MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import type { Response } from '../../../src/gen/sluice/client/v1/control_pb.ts';
import {
  ErrorSchema,
  HelloSchema,
  RequestSchema,
  ResponseSchema,
  WelcomeSchema,
} from '../../../src/gen/sluice/client/v1/control_pb.ts';
import { StreamOpenSchema } from '../../../src/gen/sluice/client/v1/subscription_pb.ts';
import type { ErrorCode } from '../../../src/kernel/errors.ts';
import { errorCodeFromWire } from '../../../src/kernel/errors.ts';
import type {
  CloseReason,
  Connection,
  ReceiveStream,
  SendStream,
  Stream,
} from '../../../src/transport/transport.ts';
import { decodeControl, encodeControl } from '../../../src/wire/control.ts';
import type { FrameType } from '../../../src/wire/frame.ts';
import { encodeFrame, FRAME, frameName } from '../../../src/wire/frame.ts';
import { FrameReader } from '../../../src/wire/frame-reader.ts';
import type { Acks, Produced } from '../../../src/wire/produce.ts';
import { decodeProduced, encodeProduceHead } from '../../../src/wire/produce.ts';
import { RecordBatch } from '../../../src/wire/record-batch-decoder.ts';
import { RecordBatchEncoder } from '../../../src/wire/record-batch-encoder.ts';

/** A frame as it arrived. */
export interface Frame {
  readonly type: number;
  readonly topic: string;
  readonly payload: Buffer;
}

const LARGE = 64 * 1024 * 1024;

type Waiter = { readonly resolve: (frame: Frame) => void; readonly reject: (error: Error) => void };

/** Why a channel brings no more frames: `end`, or `reset CODE`. */
export type Ending = 'end' | `reset ${ErrorCode | 'none'}`;

/** Frames of one stream, written by hand and read one by one. */
export class FrameChannel {
  readonly id: number;
  readonly send: SendStream | undefined;
  readonly receive: ReceiveStream | undefined;
  /** Code with which the broker stopped what is sent here. */
  readonly stopped: Promise<ErrorCode | 'none'>;
  readonly ended: Promise<Ending>;
  readonly #frames: Frame[] = [];
  readonly #waiters: Waiter[] = [];
  #ending: Ending | undefined;

  constructor(stream: Stream) {
    this.id = stream.id;
    this.send = stream.send;
    this.receive = stream.receive;
    this.stopped = new Promise((resolve) => {
      if (stream.send) stream.send.onStopped = (code) => resolve(codeName(code));
    });
    this.ended = new Promise((resolve) => this.#listen(stream.receive, resolve));
  }

  write(bytes: Uint8Array): void {
    this.send!.write(bytes);
  }

  frame(type: FrameType, topic = '', payload: Uint8Array = Buffer.alloc(0)): void {
    this.write(encodeFrame(type, topic, payload));
  }

  /** The next frame. @throws Error saying how the stream ended */
  next(): Promise<Frame> {
    const frame = this.#frames.shift();
    if (frame) return Promise.resolve(frame);
    if (this.#ending !== undefined) return Promise.reject(new Error(`stream is over: ${this.#ending}`));
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  /** The next frame, which must be of `type`. */
  async expect(type: FrameType): Promise<Frame> {
    const frame = await this.next();
    if (frame.type === type) return frame;
    const detail = frame.type === FRAME.ERROR ? ` ${errorOf(frame)}` : '';
    throw new Error(`${frameName(frame.type)}${detail} where ${frameName(type)} was expected`);
  }

  /** Code of the next frame, which must be ERROR. */
  async error(): Promise<ErrorCode> {
    return errorOf(await this.expect(FRAME.ERROR));
  }

  /** Frames that have arrived and were not asked for. */
  get waiting(): readonly Frame[] {
    return this.#frames;
  }

  #listen(receive: ReceiveStream | undefined, resolve: (ending: Ending) => void): void {
    if (!receive) return;
    const reader = new FrameReader(
      { maxFrameBytes: LARGE, maxControlBytes: 1024 * 1024, maxResponseBytes: LARGE },
      (type, topic, payload) => this.#arrive({ type, topic, payload }),
    );
    const finish = (ending: Ending): void => {
      this.#ending = ending;
      for (const waiter of this.#waiters.splice(0)) waiter.reject(new Error(`stream is over: ${ending}`));
      resolve(ending);
    };
    receive.onData = (chunk) => reader.push(chunk);
    receive.onEnd = () => finish('end');
    receive.onReset = (code) => finish(`reset ${codeName(code)}`);
  }

  #arrive(frame: Frame): void {
    const waiter = this.#waiters.shift();
    if (waiter) waiter.resolve(frame);
    else this.#frames.push(frame);
  }
}

function codeName(code: number): ErrorCode | 'none' {
  return code === 0 ? 'none' : errorCodeFromWire(code);
}

/** Code of an ERROR frame. */
export function errorOf(frame: Frame): ErrorCode {
  return errorCodeFromWire(decodeControl(ErrorSchema, frame.payload).code);
}

type RequestBody = NonNullable<MessageInitShape<typeof RequestSchema>['body']>;
type RequestCase = Exclude<Response['body']['case'], undefined>;
type ResponseValue<C extends RequestCase> = Extract<Response['body'], { case: C }>['value'];

/** A client of the native protocol that does nothing on its own. */
export class NativeClient {
  readonly connection: Connection;
  readonly closed: Promise<CloseReason>;
  /** Delivery streams in the order in which they came. */
  readonly deliveries: FrameChannel[] = [];
  readonly datagrams: Buffer[] = [];
  #control: FrameChannel | undefined;
  #nextCorrelation = 1;
  readonly #waiters: ((channel: FrameChannel) => void)[] = [];
  #taken = 0;
  /** Runs as a delivery stream comes. */
  onDelivery: ((stream: Stream) => void) | undefined;

  constructor(connection: Connection) {
    this.connection = connection;
    this.closed = new Promise((resolve) => {
      connection.onClose = resolve;
    });
    connection.onStream = (stream) => this.#delivery(stream);
    connection.onDatagram = (bytes) => this.datagrams.push(Buffer.from(bytes));
  }

  get control(): FrameChannel {
    this.#control ??= this.bidi();
    return this.#control;
  }

  bidi(): FrameChannel {
    return new FrameChannel(this.connection.openBidi());
  }

  uni(): FrameChannel {
    const send = this.connection.openUni();
    return new FrameChannel({ id: send.id, send, receive: undefined });
  }

  sendHello(fields: MessageInitShape<typeof HelloSchema> = {}): void {
    this.control.write(encodeControl(FRAME.HELLO, HelloSchema, { version: 1, clientId: 'test', ...fields }));
  }

  async hello(
    fields: MessageInitShape<typeof HelloSchema> = {},
  ): Promise<MessageShape<typeof WelcomeSchema>> {
    this.sendHello(fields);
    return decodeControl(WelcomeSchema, (await this.control.expect(FRAME.WELCOME)).payload);
  }

  /** Sends a request without waiting for its answer; returns its correlation id. */
  ask(body: RequestBody, channel = this.control): number {
    const correlationId = this.#nextCorrelation++;
    channel.write(encodeControl(FRAME.REQUEST, RequestSchema, { correlationId, body }));
    return correlationId;
  }

  /** The answer to a request; its body. @throws Error naming the code when it is refused */
  async request<C extends RequestCase>(body: RequestBody & { case: C }): Promise<ResponseValue<C>> {
    this.ask(body);
    const { payload } = await this.control.expect(FRAME.RESPONSE);
    return decodeControl(ResponseSchema, payload).body.value as ResponseValue<C>;
  }

  /** Code with which a request is refused. */
  async refusal(body: RequestBody): Promise<ErrorCode> {
    this.ask(body);
    return this.control.error();
  }

  /** The next delivery stream that nobody asked for yet, with its STREAM_OPEN taken off. */
  async delivery(): Promise<OpenedDelivery> {
    const channel = await this.rawDelivery();
    const frame = await channel.expect(FRAME.STREAM_OPEN);
    return { channel, topic: frame.topic, open: decodeControl(StreamOpenSchema, frame.payload) };
  }

  /** The next stream that the broker opened and nobody asked for yet. */
  rawDelivery(): Promise<FrameChannel> {
    const channel = this.deliveries[this.#taken++];
    if (channel) return Promise.resolve(channel);
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  #delivery(stream: Stream): void {
    const channel = new FrameChannel(stream);
    this.deliveries.push(channel);
    this.onDelivery?.(stream);
    this.#waiters.shift()?.(channel);
  }
}

/** A delivery stream after its STREAM_OPEN. */
export interface OpenedDelivery {
  readonly channel: FrameChannel;
  readonly topic: string;
  readonly open: MessageShape<typeof StreamOpenSchema>;
}

/** A batch with one record for each text; `key:value` gives a key. */
export function batchOf(texts: readonly string[], codec: 'none' | 'gzip' | 'zstd' = 'none'): Buffer {
  const encoder = new RecordBatchEncoder();
  for (const text of texts) {
    const colon = text.indexOf(':');
    const key = colon < 0 ? null : Buffer.from(text.slice(0, colon));
    encoder.append(key, Buffer.from(text.slice(colon + 1)), [], 1_700_000_000_000);
  }
  return encoder.finish({ codec });
}

/** Values of the records of a batch. */
export function textsOf(batch: Buffer): string[] {
  return [...new RecordBatch(batch).records()].map((record) => record.value?.toString() ?? '(null)');
}

/** A PRODUCE frame. */
export function produceFrame(
  topic: string,
  batch: Buffer,
  head: { correlation?: number; partition?: number; acks?: Acks } = {},
): Buffer {
  const { correlation = 1, partition, acks = 1 } = head;
  return Buffer.concat([encodeProduceHead(topic, { correlation, partition, acks }, batch.length), batch]);
}

/** Publishes a batch on `channel` and takes the answer. */
export async function produce(
  channel: FrameChannel,
  topic: string,
  batch: Buffer,
  head: { correlation?: number; partition?: number; acks?: Acks } = {},
): Promise<Produced> {
  channel.write(produceFrame(topic, batch, head));
  return decodeProduced((await channel.expect(FRAME.PRODUCED)).payload);
}

/** Values of the next batches of a delivery until there are `count`. */
export async function receive(channel: FrameChannel, count: number): Promise<string[]> {
  const texts: string[] = [];
  while (texts.length < count) texts.push(...textsOf((await channel.expect(FRAME.BATCH)).payload));
  return texts;
}

/** Lets everything that is due happen: the transport in memory and the gateway only use microtasks and turns of the loop. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 4; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Waits until `condition` holds, which files on disk may hold up (a topic that is being created). */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
