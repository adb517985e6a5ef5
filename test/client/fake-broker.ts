import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Client } from '../../src/client/client.ts';
import { connectWith } from '../../src/client/connect.ts';
import type { ConnectOptions } from '../../src/client/connection/connect-options.ts';
import type { Hello, Request } from '../../src/gen/sluice/client/v1/control_pb.ts';
import {
  ErrorSchema,
  GoAwaySchema,
  HelloSchema,
  RequestSchema,
  ResponseSchema,
  WelcomeSchema,
} from '../../src/gen/sluice/client/v1/control_pb.ts';
import type { SubscribeRequest } from '../../src/gen/sluice/client/v1/subscription_pb.ts';
import { StreamOpenSchema } from '../../src/gen/sluice/client/v1/subscription_pb.ts';
import type { ErrorCode } from '../../src/kernel/errors.ts';
import { ERRORS } from '../../src/kernel/errors.ts';
import { DEFAULT_LIMITS } from '../../src/transport/limits.ts';
import { createMemoryTransport } from '../../src/transport/memory/memory-transport.ts';
import type {
  BidiStream,
  Connection,
  Listener,
  SendStream,
  Transport,
} from '../../src/transport/transport.ts';
import { decodeControl, encodeControl } from '../../src/wire/control.ts';
import type { CreditFrame, EndFrame, GapFrame } from '../../src/wire/delivery.ts';
import { decodeCredit, encodeEnd, encodeGap } from '../../src/wire/delivery.ts';
import { CONTROL_MAX_BYTES, encodeFrame, FRAME, FRAME_MAX_BYTES } from '../../src/wire/frame.ts';
import { FrameReader } from '../../src/wire/frame-reader.ts';
import type { Produced, ProduceRequest } from '../../src/wire/produce.ts';
import { decodeProduce, encodeProduced } from '../../src/wire/produce.ts';
import type { BatchHeader } from '../../src/wire/record-batch.ts';
import { readBatchHeader, stampBatch } from '../../src/wire/record-batch.ts';
import { RecordBatch } from '../../src/wire/record-batch-decoder.ts';
import { RecordBatchEncoder } from '../../src/wire/record-batch-encoder.ts';
import type { Codec } from '../../src/wire/codecs.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { turns } from '../support/turns.ts';

const LIMITS = { maxFrameBytes: FRAME_MAX_BYTES, maxControlBytes: CONTROL_MAX_BYTES };
type ResponseBody = MessageInitShape<typeof ResponseSchema>['body'];
export type RequestBody = Exclude<Request['body'], { case: undefined }>;

/** A PRODUCE frame that came, and the way to answer it. */
export interface Arrived extends ProduceRequest {
  readonly connection: FakeConnection;
  readonly topic: string;
  readonly header: BatchHeader;
  /** Values of its records. */
  readonly values: readonly string[];
  answer(produced: Partial<Produced>): void;
}

/** What the fake broker answers unless a test says otherwise; undefined: nothing. */
export type Answer = ResponseBody | { readonly error: ErrorCode } | undefined;

/** The broker's end of one connection. */
export class FakeConnection {
  readonly connection: Connection;
  hello: Hello | undefined;
  readonly requests: RequestBody[] = [];
  /** By request, the stream it came on; 0: the control stream. */
  readonly requestStreams: number[] = [];
  readonly credits: CreditFrame[] = [];
  readonly pongs: Buffer[] = [];
  control!: BidiStream;
  closeCode: number | undefined;
  /** Node that was connected to. */
  readonly nodeId: string;
  readonly #broker: FakeBroker;
  readonly #streams = new Map<number, BidiStream>();

  constructor(broker: FakeBroker, connection: Connection, nodeId: string) {
    this.#broker = broker;
    this.nodeId = nodeId;
    this.connection = connection;
    connection.onClose = ({ errorCode }) => {
      this.closeCode = errorCode;
    };
    connection.onStream = (stream) => {
      if (stream.id === 0) this.#readControl(stream as BidiStream);
      else this.#readStream(stream as BidiStream);
    };
  }

  get subscribes(): readonly SubscribeRequest[] {
    return this.requests.flatMap((request) => (request.case === 'subscribe' ? [request.value] : []));
  }

  goAway(alternatives: string[] = []): void {
    this.control.send.write(encodeControl(FRAME.GOAWAY, GoAwaySchema, { reason: 'test', alternatives }));
  }

  ping(payload: Buffer): void {
    this.control.send.write(encodeFrame(FRAME.PING, '', payload));
  }

  /** Opens a delivery stream of the newest subscription, or of `subscriptionId`. */
  deliver(topic: string, partition: number, firstOffset: number, subscriptionId?: number): FakeDelivery {
    const id = subscriptionId ?? this.subscribes.at(-1)!.subscriptionId;
    const send = this.connection.openUni();
    const open = { subscriptionId: id, partition, firstOffset: BigInt(firstOffset) };
    send.write(encodeControl(FRAME.STREAM_OPEN, StreamOpenSchema, open, topic));
    return new FakeDelivery(send);
  }

  /** Resets a stream of requests. */
  resetStream(id: number): void {
    this.#streams.get(id)!.send.reset(ERRORS.UNAVAILABLE.wire);
  }

  cut(): void {
    this.connection.close(0, 'cut by the test');
  }

  #readControl(stream: BidiStream): void {
    this.control = stream;
    const reader = new FrameReader(LIMITS, (type, _topic, payload) => this.#control(type, payload));
    stream.receive.onData = (chunk) => reader.push(chunk);
  }

  #control(type: number, payload: Buffer): void {
    const { send } = this.control;
    if (type === FRAME.CREDIT) this.credits.push(decodeCredit(payload));
    if (type === FRAME.PING) send.write(encodeFrame(FRAME.PONG, '', payload));
    if (type === FRAME.PONG) this.pongs.push(payload);
    if (type === FRAME.HELLO) {
      this.hello = decodeControl(HelloSchema, payload);
      const error = this.#broker.refuseHello;
      if (error === 'silent') return;
      if (error !== undefined) {
        send.write(encodeControl(FRAME.ERROR, ErrorSchema, { code: ERRORS[error].wire, message: 'refused' }));
      } else {
        send.write(
          encodeControl(FRAME.WELCOME, WelcomeSchema, {
            version: 1,
            nodeId: this.nodeId,
            clusterId: this.#broker.clusterId,
            nodes: this.#broker.nodes,
          }),
        );
      }
    }
    if (type === FRAME.REQUEST) this.#request(decodeControl(RequestSchema, payload), send);
  }

  #request({ correlationId, body }: Request, send: SendStream): void {
    if (body.case === undefined) return;
    this.requests.push(body);
    this.requestStreams.push(send.id);
    const answer = this.#broker.onRequest(body, this, (later) => this.#answer(correlationId, later, send));
    if (answer !== undefined) this.#answer(correlationId, answer, send);
  }

  #answer(correlationId: number, answer: NonNullable<Answer>, send: SendStream): void {
    if ('error' in answer) {
      const message = { correlationId, code: ERRORS[answer.error].wire, message: 'refused by the test' };
      send.write(encodeControl(FRAME.ERROR, ErrorSchema, message));
    } else {
      const limits = { ...LIMITS, maxResponseBytes: FRAME_MAX_BYTES };
      send.write(encodeControl(FRAME.RESPONSE, ResponseSchema, { correlationId, body: answer }, '', limits));
    }
  }

  /** A publish stream, or one of requests. */
  #readStream(stream: BidiStream): void {
    this.#streams.set(stream.id, stream);
    const reader = new FrameReader(LIMITS, (type, topic, payload) => {
      if (type === FRAME.REQUEST) {
        this.#request(decodeControl(RequestSchema, payload), stream.send);
        return;
      }
      const request = decodeProduce(payload);
      const values: string[] = [];
      new RecordBatch(request.batch).forEach(({ value }) => values.push(value?.toString() ?? ''));
      const arrived: Arrived = {
        ...request,
        connection: this,
        topic,
        header: readBatchHeader(request.batch),
        values,
        answer: (produced) =>
          stream.send.write(
            encodeProduced({ ...OK, ...request, ...produced, partition: request.partition ?? 0 }),
          ),
      };
      this.#broker.produced.push(arrived);
      this.#broker.onProduce(arrived);
    });
    stream.receive.onData = (chunk) => reader.push(chunk);
    stream.receive.onEnd = () => this.#broker.endedStreams.push(stream.id);
  }
}

const OK = { error: undefined, message: '', duplicate: false, baseOffset: 0, appendTimeMs: undefined };

/** The broker's end of one delivery stream. */
export class FakeDelivery {
  readonly send: SendStream;

  constructor(send: SendStream) {
    this.send = send;
  }

  /** Writes a batch of these values at `baseOffset`. */
  batch(baseOffset: number, values: readonly string[], codec: Codec = 'none'): this {
    return this.bytes(batchOf(baseOffset, values, codec));
  }

  bytes(batch: Buffer): this {
    this.send.write(encodeFrame(FRAME.BATCH, '', batch));
    return this;
  }

  gap(gap: GapFrame): this {
    this.send.write(encodeGap(gap));
    return this;
  }

  end(end: Partial<EndFrame> = {}): this {
    this.send.write(encodeEnd({ error: undefined, message: '', ...end }));
    return this.fin();
  }

  fin(): this {
    this.send.end();
    return this;
  }
}

/** A batch as the broker would store it. */
export function batchOf(baseOffset: number, values: readonly string[], codec: Codec = 'none'): Buffer {
  const encoder = new RecordBatchEncoder();
  for (const value of values) encoder.append(null, Buffer.from(value), [], 1000);
  const batch = encoder.finish({ codec });
  stampBatch(batch, baseOffset, 1);
  return batch;
}

/** A broker whose every answer is the test's choice, on a transport in memory; time moves when the test says so. */
export class FakeBroker implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly transport: Transport = this.#watched(createMemoryTransport());
  /** In the order they came. */
  readonly connections: FakeConnection[] = [];
  /** The client's ends of connections, in the order they came to be. */
  readonly clientEnds: Connection[] = [];
  readonly produced: Arrived[] = [];
  /** Streams of requests, or of publishes, that clients have ended. */
  readonly endedStreams: number[] = [];
  refuseHello: ErrorCode | 'silent' | undefined;
  clusterId = 'fakes';
  partitions = 1;
  /** Of every partition; the broker begins anew when it grows. */
  leaderEpoch = 1;
  /** Node that leads a partition, as metadata say. */
  leaderOf: (partition: number) => string = () => 'fake';
  /** The nodes that WELCOME and metadata name. */
  nodes: { nodeId: string; urls: string[] }[] = [];
  /** Windows of the client. */
  streamWindowBytes = DEFAULT_LIMITS.streamWindowBytes;
  onProduce: (arrived: Arrived) => void = () => undefined;
  /** `later` answers a request for which undefined was returned. */
  onRequest: (
    request: RequestBody,
    connection: FakeConnection,
    later: (answer: NonNullable<Answer>) => void,
  ) => Answer = (request) => this.defaultAnswer(request);
  readonly #clients: Client[] = [];
  readonly #listeners: Listener[] = [];
  #producerIds = 100n;

  static async open(ports: readonly number[] = [1]): Promise<FakeBroker> {
    const broker = new FakeBroker();
    for (const port of ports) await broker.listen(port);
    return broker;
  }

  /** @param nodeId who a client finds there */
  async listen(port: number, nodeId = 'fake'): Promise<Listener> {
    const listen = {
      host: 'fake',
      port,
      identity: { certificatePem: '', privateKeyPem: '' },
      clientAuthoritiesPem: undefined,
      requireClientCertificate: false,
      limits: DEFAULT_LIMITS,
    };
    const listener = await this.transport.listen(listen, (connection) => {
      this.connections.push(new FakeConnection(this, connection, nodeId));
    });
    this.#listeners.push(listener);
    return listener;
  }

  /** Connects a client without waiting. */
  connecting(
    urls: string | readonly string[] = 'memory://fake:1',
    options: ConnectOptions = {},
  ): Promise<Client> {
    const random = { bytes: (length: number) => Buffer.alloc(length), fraction: () => 0.5, uuid: () => 'u' };
    const ports = { clock: this.clock, random, hold: () => () => undefined };
    const limits = { streamWindowBytes: this.streamWindowBytes };
    const base = {
      ca: '-----BEGIN CERTIFICATE-----',
      transport: this.transport,
      clientId: 'c',
      token: 't',
      limits,
    };
    return connectWith(ports, urls, { ...base, ...options });
  }

  #watched(transport: Transport): Transport {
    return {
      scheme: transport.scheme,
      listen: (...options) => transport.listen(...options),
      connect: async (options) => {
        const connection = await transport.connect(options);
        this.clientEnds.push(connection);
        return connection;
      },
    };
  }

  async client(urls?: string | readonly string[], options?: ConnectOptions): Promise<Client> {
    const client = await this.connecting(urls, options);
    this.#clients.push(client);
    return client;
  }

  /** The newest connection. */
  get last(): FakeConnection {
    return this.connections.at(-1)!;
  }

  defaultAnswer(request: RequestBody): Answer {
    switch (request.case) {
      case 'metadata': {
        const partitions = Array.from({ length: this.partitions }, (_, partition) => ({
          partition,
          leaderEpoch: this.leaderEpoch,
          leaderNodeId: this.leaderOf(partition),
        }));
        return {
          case: 'metadata',
          value: { topics: request.value.topics.map((name) => ({ name, partitions })), nodes: this.nodes },
        };
      }
      case 'initProducer':
        return { case: 'initProducer', value: { producerId: this.#producerIds++, producerEpoch: 0 } };
      case 'subscribe':
        return { case: 'subscribe', value: { positions: [] } };
      case 'listOffsets':
        return { case: 'listOffsets', value: { positions: [] } };
      default:
        return { case: request.case, value: {} };
    }
  }

  /** Lets time pass in small steps, with everything that happens in between. */
  async pass(ms: number): Promise<void> {
    const steps = Math.max(1, Math.ceil(ms / 100));
    for (let step = 0; step < steps; step++) {
      this.clock.advance(ms / steps);
      await turns(3);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closing = Promise.allSettled(this.#clients.map((client) => client.close({ timeoutMs: 1 })));
    await this.pass(10);
    await closing;
    await Promise.all(this.#listeners.map((listener) => listener.close()));
  }
}
