import type { DescMessage, DescMethod, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import type { CallOptions, ClientReadableStream, ClientWritableStream } from '@grpc/grpc-js';
import { Client, Metadata, credentials } from '@grpc/grpc-js';
import { GrpcGateway } from '../../../src/gateway/grpc/grpc-gateway.ts';
import type { GrpcGatewayLimits } from '../../../src/gateway/grpc/grpc-gateway.ts';
import type { GrpcSecurity } from '../../../src/gateway/grpc/grpc-listener.ts';
import type { Clock } from '../../../src/kernel/clock.ts';
import type { SluiceError } from '../../../src/kernel/errors.ts';
import { systemClock } from '../../../src/kernel/system-clock.ts';
import type { SecurityEvent } from '../../../src/security/audit.ts';
import { FailedAuthentications } from '../../../src/security/failed-authentications.ts';
import { errorFromCall, errorFromStatus } from '../../../src/transport/grpc/grpc-error.ts';
import { decodeMessage, encodeMessage } from '../../../src/transport/grpc/rpc-method.ts';
import { FakeQueue } from './fake-queue.ts';

const MiB = 1024 * 1024;

const LIMITS: GrpcGatewayLimits = {
  maxKeyBytes: 1024,
  maxInflatedBytes: 16 * MiB,
  maxMessageBytes: MiB,
  windowBytes: 64 * 1024,
  keepAliveMs: 60_000,
  keepAliveTimeoutMs: 5_000,
  maxStreams: 1_000,
  maxHeldBytes: 64 * MiB,
  maxCalls: 1_000,
};

/** What a test may want different. */
export interface GrpcStageOptions {
  readonly security?: GrpcSecurity;
  readonly port?: number;
  readonly maxConnections?: number;
  readonly limits?: Partial<GrpcGatewayLimits>;
  readonly clock?: Clock;
}

/** A method of a generated service with the types of its messages. */
type Method<In extends DescMessage, Out extends DescMessage> = DescMethod & {
  readonly input: In;
  readonly output: Out;
};

/** A gateway on a real port in front of a fake broker, and clients of grpc-js. */
export class GrpcStage implements AsyncDisposable {
  readonly broker = new FakeQueue();
  readonly securityEvents: SecurityEvent[] = [];
  gateway!: GrpcGateway;
  readonly #clients: GrpcTestClient[] = [];

  static async open({
    security,
    port = 0,
    maxConnections = 100,
    limits,
    clock = systemClock,
  }: GrpcStageOptions = {}): Promise<GrpcStage> {
    const stage = new GrpcStage();
    stage.gateway = await GrpcGateway.open({
      broker: stage.broker,
      clock,
      listen: {
        ...{ host: '127.0.0.1', port, maxConnections, handshakeTimeoutMs: 5_000 },
        security: security ?? null,
      },
      limits: { ...LIMITS, ...limits },
      security: { note: (event) => stage.securityEvents.push(event) },
      failedAuthentications: new FailedAuthentications(clock),
    });
    return stage;
  }

  client(channel = credentials.createInsecure()): GrpcTestClient {
    const client = new GrpcTestClient(`127.0.0.1:${this.gateway.port}`, channel);
    this.#clients.push(client);
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.close();
    await this.gateway.close();
  }
}

/** A client of generated services. */
export class GrpcTestClient {
  readonly raw: Client;
  readonly metadata = new Metadata();

  constructor(address: string, channel: ReturnType<typeof credentials.createInsecure>) {
    this.raw = new Client(address, channel, { 'grpc.use_local_subchannel_pool': 1 });
  }

  withToken(token: string): this {
    this.metadata.set('authorization', `Bearer ${token}`);
    return this;
  }

  /** @throws SluiceError of the call's status */
  call<In extends DescMessage, Out extends DescMessage>(
    method: Method<In, Out>,
    request: MessageInitShape<In>,
    options: CallOptions = {},
  ): Promise<MessageShape<Out>> {
    return new Promise((resolve, reject: (error: SluiceError) => void) => {
      const bytes = encodeMessage(method.input, request);
      this.raw.makeUnaryRequest(
        pathOf(method),
        asIs,
        asIs,
        bytes,
        this.metadata,
        options,
        (error, response) => {
          if (error ?? !response) reject(errorFromCall(error));
          else resolve(decodeMessage(method.output, response));
        },
      );
    });
  }

  serverStream<In extends DescMessage, Out extends DescMessage>(
    method: Method<In, Out>,
    request: MessageInitShape<In>,
    options: CallOptions = {},
  ): TestStream<Out> {
    const bytes = encodeMessage(method.input, request);
    return new TestStream(
      this.raw.makeServerStreamRequest(pathOf(method), asIs, asIs, bytes, this.metadata, options),
      method.output,
    );
  }

  /** @returns the stream, and what answers it */
  clientStream<In extends DescMessage, Out extends DescMessage>(
    method: Method<In, Out>,
  ): {
    stream: ClientWritableStream<Buffer>;
    write: (request: MessageInitShape<In>) => void;
    answer: Promise<MessageShape<Out>>;
  } {
    const { promise, resolve, reject } = Promise.withResolvers<MessageShape<Out>>();
    const stream = this.raw.makeClientStreamRequest(
      pathOf(method),
      asIs,
      asIs,
      this.metadata,
      (error, response?: Buffer) => {
        if (error ?? !response) reject(errorFromCall(error));
        else resolve(decodeMessage(method.output, response));
      },
    );
    stream.on('error', () => undefined);
    return {
      stream,
      write: (request) => void stream.write(encodeMessage(method.input, request)),
      answer: promise,
    };
  }

  close(): void {
    this.raw.close();
  }
}

/** Responses of one call as they come. */
export class TestStream<Out extends DescMessage> {
  readonly raw: ClientReadableStream<Buffer>;
  readonly responses: MessageShape<Out>[] = [];
  /** Undefined: it ended well. */
  readonly ended: Promise<SluiceError | undefined>;

  constructor(raw: ClientReadableStream<Buffer>, schema: Out) {
    this.raw = raw;
    raw.on('data', (bytes: Buffer) => this.responses.push(decodeMessage(schema, bytes)));
    raw.on('error', () => undefined); // the status says the same
    this.ended = new Promise((resolve) => {
      raw.on('status', (status) => resolve(errorFromStatus(status)));
    });
  }
}

function pathOf(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

const asIs = (bytes: Buffer): Buffer => bytes;
