import type {
  DescMessage,
  DescMethod,
  DescMethodClientStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  MessageInitShape,
  MessageShape,
} from '@bufbuild/protobuf';
import type {
  Metadata,
  ServerReadableStream,
  ServerUnaryCall,
  ServerWritableStream,
  ServiceDefinition,
  UntypedHandleCall,
} from '@grpc/grpc-js';
import type { Clock } from '../../kernel/clock.ts';
import { SluiceError, asSluiceError } from '../../kernel/errors.ts';
import { errorToStatus } from '../../transport/grpc/grpc-error.ts';
import { decodeMessage, encodeMessage } from '../../transport/grpc/rpc-method.ts';
import type { CredentialWatch } from '../credential-watch.ts';
import type { GrpcCounters } from './counters.ts';
import { IncomingStream } from './incoming-stream.ts';
import type { OpenCall } from './open-call.ts';
import type { CallTerms, MessageBroker } from './ports.ts';

/** What calls need besides their use case. */
export interface ServiceCallsOptions {
  /** The call whose headers those are. */
  readonly callOf: (metadata: Metadata) => OpenCall;
  /** Looks after the credentials of long calls. */
  readonly credentials: CredentialWatch;
  readonly broker: Pick<MessageBroker, 'isStillValid'>;
  readonly counters: GrpcCounters;
  readonly clock: Clock;
}

/** Takes what a client streams. */
export interface Intake<In, Out> {
  /** Called for each message at once, whatever became of those before. */
  take(request: In): Promise<void>;
  /** Once all was taken. */
  answer(): Out;
}

type Reply = (error: ReturnType<typeof errorToStatus> | null, response?: Buffer) => void;

/** Calls of a service as grpc-js wants them: for gRPC messages are buffers, which are encoded and decoded here. */
export class ServiceCalls {
  readonly definition: Record<string, ServiceDefinition[string]> = {};
  readonly implementation: Record<string, UntypedHandleCall> = {};
  readonly #options: ServiceCallsOptions;

  constructor(options: ServiceCallsOptions) {
    this.#options = options;
  }

  /** One request, one response. @param answer may reject with any error */
  unary<In extends DescMessage, Out extends DescMessage>(
    method: DescMethodUnary<In, Out>,
    answer: (call: OpenCall, request: MessageShape<In>) => Promise<MessageInitShape<Out>>,
  ): void {
    this.#add(method, (unary: ServerUnaryCall<Buffer, Buffer>, reply: Reply) => {
      const call = this.#options.callOf(unary.metadata);
      const answering = async (): Promise<Buffer> => {
        const request = decodeMessage(method.input, unary.request);
        return encodeMessage(method.output, await answer(call, request));
      };
      answering().then(
        (response) => reply(null, response),
        (error: unknown) => reply(this.#status(error)),
      );
    });
  }

  /** Many requests, one response. @param open called once for each call */
  clientStream<In extends DescMessage, Out extends DescMessage>(
    method: DescMethodClientStreaming<In, Out>,
    open: (call: OpenCall) => Intake<MessageShape<In>, MessageInitShape<Out>>,
  ): void {
    this.#add(method, (stream: ServerReadableStream<Buffer, Buffer>, reply: Reply) => {
      const call = this.#options.callOf(stream.metadata);
      const intake = open(call);
      this.#watch(call);
      new IncomingStream(stream, {
        take: async (bytes) => {
          await intake.take(decodeMessage(method.input, bytes));
          call.release(bytes.length);
        },
        ended: () => reply(null, encodeMessage(method.output, intake.answer())),
        failed: (error) => reply(this.#status(error)),
      });
    });
  }

  /** One request, many responses. @param answer writes one response after the other, each once the one before has been taken */
  serverStream<In extends DescMessage, Out extends DescMessage>(
    method: DescMethodServerStreaming<In, Out>,
    answer: (
      call: OpenCall,
      request: MessageShape<In>,
      write: (response: MessageInitShape<Out>) => Promise<boolean>,
      terms: CallTerms,
    ) => Promise<void>,
  ): void {
    this.#add(method, (stream: ServerWritableStream<Buffer, Buffer>) => {
      const call = this.#options.callOf(stream.metadata);
      const { signal } = call.over;
      this.#watch(call);
      const write = (response: MessageInitShape<Out>): Promise<boolean> =>
        writeTo(stream, encodeMessage(method.output, response), signal);
      const answering = async (): Promise<void> => {
        const request = decodeMessage(method.input, stream.request);
        await answer(call, request, write, { signal, timeoutMs: this.#timeoutMs(stream) });
      };
      answering().then(
        () => stream.end(),
        (error: unknown) => stream.emit('error', this.#status(error)),
      );
    });
  }

  #add(method: DescMethod, handle: UntypedHandleCall): void {
    this.definition[method.name] = {
      path: `/${method.parent.typeName}/${method.name}`,
      requestStream: method.methodKind === 'client_streaming',
      responseStream: method.methodKind === 'server_streaming',
      requestSerialize: asIs,
      requestDeserialize: asIs,
      responseSerialize: asIs,
      responseDeserialize: asIs,
    };
    this.implementation[method.name] = handle;
  }

  #status(error: unknown): ReturnType<typeof errorToStatus> {
    this.#options.counters.countError(asSluiceError(error).code);
    return errorToStatus(error);
  }

  #timeoutMs(stream: ServerWritableStream<Buffer, Buffer>): number {
    return Math.max(0, Number(stream.getDeadline()) - this.#options.clock.now());
  }

  /** A call ends when the token it was made with is no longer good. */
  #watch(call: OpenCall): void {
    const { credentials, broker } = this.#options;
    if (call.principal.tokenId === undefined) return;
    const holder = {
      checkCredential: () => {
        if (broker.isStillValid(call.principal)) return;
        call.end(new SluiceError('UNAUTHENTICATED', 'the token has been revoked or has expired'));
      },
    };
    credentials.add(holder);
    call.over.signal.addEventListener('abort', () => credentials.delete(holder), { once: true });
  }
}

/** Resolves once the client has room for more, or has gone: false. */
function writeTo(
  stream: ServerWritableStream<Buffer, Buffer>,
  bytes: Buffer,
  signal: AbortSignal,
): Promise<boolean> {
  return new Promise((resolve) => {
    const gone = (): void => resolve(false);
    if (signal.aborted) {
      gone();
      return;
    }
    signal.addEventListener('abort', gone, { once: true });
    stream.write(bytes, () => {
      signal.removeEventListener('abort', gone);
      resolve(!signal.aborted);
    });
  });
}

const asIs = (bytes: Buffer): Buffer => bytes;
