import type {
  ServerDuplexStream,
  ServerUnaryCall,
  ServiceDefinition,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import type { Clock } from '../../kernel/clock.ts';
import { SluiceError } from '../../kernel/errors.ts';
import { BULK_PROTOCOL } from '../bulk/bulk-protocol.ts';
import type { BulkRoute } from '../bulk/bulk-server.ts';
import { BulkServer } from '../bulk/bulk-server.ts';
import { calledBulkStream } from '../bulk/bulk-stream.ts';
import { calledStream } from './duplex-stream.ts';
import { errorToStatus } from './grpc-error.ts';
import type { GrpcSettings } from './grpc-settings.ts';
import { channelOptions } from './grpc-settings.ts';
import type { CallerCheck, CertificateCheck, GrpcTls } from './grpc-tls.ts';
import type { MessageStream } from './message-stream.ts';
import { NodePort } from './node-port.ts';
import type { MessageBytes, RpcMethod } from './rpc-method.ts';
import { asSerialized } from './rpc-method.ts';

/** Certificates whose callers are remembered. */
const KNOWN_CERTIFICATES = 1000;

/** A method and who answers it; made by {@link answers} and {@link streams}. */
export interface Route<Who> {
  readonly path: string;
  readonly streaming: boolean;
  readonly serve: (who: Who, call: unknown, reply: Reply) => void;
  /** Takes the stream from a connection of its own; undefined: single calls. */
  readonly take?: BulkRoute<Who>;
}
type Reply = (error: unknown, response?: MessageBytes) => void;

/** Answers single calls. @param answer may throw, or reject with, any error; `gone` says that nobody waits for it any more */
export function answers<Who, In, Out>(
  method: RpcMethod<In, Out>,
  answer: (who: Who, request: In, gone: AbortSignal) => Out | Promise<Out>,
): Route<Who> {
  return {
    path: method.path,
    streaming: false,
    serve: (who, call, reply) => {
      const unary = call as ServerUnaryCall<Buffer, MessageBytes>;
      const gone = new AbortController();
      unary.on('cancelled', () => gone.abort());
      const answering = async (): Promise<MessageBytes> =>
        method.response.encode(await answer(who, method.request.decode(unary.request), gone.signal));
      void answering().then(
        (response) => reply(undefined, response),
        (error: unknown) => reply(error),
      );
    },
  };
}

/** Takes streams. @param take sets the callbacks of the stream before it returns; must not throw */
export function streams<Who, In, Out>(
  method: RpcMethod<In, Out>,
  take: (who: Who, stream: MessageStream<Out, In>) => void,
): Route<Who> {
  return {
    path: method.path,
    streaming: true,
    serve: (who, call) => take(who, calledStream(call as ServerDuplexStream<Buffer, MessageBytes>, method)),
    take: (who, socket) => take(who, calledBulkStream(socket, method)),
  };
}

/** Where and how a server listens. */
export interface GrpcServerOptions<Who> {
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  readonly tls: GrpcTls;
  readonly settings: GrpcSettings;
  /** Who a caller is; one that it throws for gets that error from every call. */
  readonly identify: CertificateCheck<Who>;
  readonly clock: Clock;
}

/**
 * A gRPC server that takes only callers with a certificate of its authorities; they can also ask for its health (grpc.health.v1).
 * Its streams can be opened on connections of their own as well, without HTTP/2 (docs/adr/0012).
 */
export class GrpcServer {
  readonly #server: Server;
  readonly #bulk: Pick<BulkServer<unknown>, 'idle' | 'cut'>;
  readonly #port: NodePort;
  readonly #clock: Clock;
  readonly #health = new HealthImplementation({ '': 'SERVING' });

  private constructor(
    server: Server,
    bulk: Pick<BulkServer<unknown>, 'idle' | 'cut'>,
    port: NodePort,
    clock: Clock,
  ) {
    this.#server = server;
    this.#bulk = bulk;
    this.#port = port;
    this.#clock = clock;
    this.#health.addToServer(server);
  }

  /** @throws INVALID_CONFIG when the certificates cannot be used; ADDRESS_IN_USE */
  static async listen<Who>(
    options: GrpcServerOptions<Who>,
    routes: readonly Route<Who>[],
  ): Promise<GrpcServer> {
    const { settings, clock } = options;
    const identify = oncePerCertificate(options.identify);
    const server = new Server(channelOptions(settings));
    const { definition, implementation } = toService(routes, identify);
    server.addService(definition, implementation);
    const streams = new Map(routes.flatMap(({ path, take }) => (take ? [[path, take]] : [])));
    const bulk = new BulkServer({ settings, clock }, identify, streams);
    // Certificates have been verified when a connection comes here; grpc-js reads them from it.
    const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
    const port = await NodePort.listen(options, {
      [BULK_PROTOCOL]: (socket) => bulk.take(socket),
      h2: (socket) => injector.injectConnection(socket),
    });
    return new GrpcServer(server, bulk, port, clock);
  }

  get port(): number {
    return this.#port.port;
  }

  /** New certificates for connections to come; those that are open go on. @throws INVALID_CONFIG, and nothing has changed then */
  setTls(tls: GrpcTls): void {
    this.#port.setTls(tls);
  }

  /** Takes no more calls, waits at most `graceMs` for those under way to end, and cuts off the rest. */
  async close(graceMs: number): Promise<void> {
    this.#health.setStatus('', 'NOT_SERVING');
    this.#port.close();
    const ended = Promise.withResolvers<undefined>();
    const timer = this.#clock.setTimer(graceMs, () => ended.resolve(undefined));
    const shutdown = new Promise<void>((resolve) => this.#server.tryShutdown(() => resolve()));
    void Promise.all([shutdown, this.#bulk.idle()]).then(() => ended.resolve(undefined));
    await ended.promise;
    timer.cancel();
    this.#server.forceShutdown();
    this.#bulk.cut();
  }
}

const asIs = (bytes: Buffer): Buffer => bytes;

function toService<Who>(
  routes: readonly Route<Who>[],
  identify: CallerCheck<Who>,
): { definition: ServiceDefinition; implementation: UntypedServiceImplementation } {
  const definition: Record<string, ServiceDefinition[string]> = {};
  const implementation: UntypedServiceImplementation = {};
  for (const { path, streaming, serve } of routes) {
    definition[path] = {
      path,
      requestStream: streaming,
      responseStream: streaming,
      requestSerialize: asSerialized,
      requestDeserialize: asIs,
      responseSerialize: asSerialized,
      responseDeserialize: asIs,
    };
    implementation[path] = streaming
      ? (call: ServerDuplexStream<Buffer, MessageBytes>) => {
          const reply: Reply = (error) => call.emit('error', errorToStatus(error));
          withCaller(call, identify, reply, (who) => serve(who, call, reply));
        }
      : (call: ServerUnaryCall<Buffer, MessageBytes>, callback: UnaryCallback) => {
          const reply: Reply = (error, response) => {
            if (response) callback(null, response);
            else callback(errorToStatus(error));
          };
          withCaller(call, identify, reply, (who) => serve(who, call, reply));
        };
  }
  return { definition, implementation };
}
type UnaryCallback = (error: ReturnType<typeof errorToStatus> | null, response?: MessageBytes) => void;

/**
 * Reads each certificate once: every call of a connection shows the same, and taking one apart costs more than a small call.
 * What does not name a caller is asked about again.
 */
function oncePerCertificate<Who>(identify: CertificateCheck<Who>): CallerCheck<Who> {
  const known = new Map<string, Who>();
  return (certificate) => {
    if (!certificate) throw new SluiceError('CERTIFICATE_REJECTED', 'the caller shows no certificate');
    const key = certificate.toString('latin1');
    const before = known.get(key);
    if (before !== undefined) return before;
    const who = identify(certificate);
    // Nodes are few, and get new certificates rarely: more than this are old ones.
    if (known.size >= KNOWN_CERTIFICATES) known.clear();
    known.set(key, who);
    return who;
  };
}

/** Nobody is served who has not shown who it is. */
function withCaller<Who>(
  call: Pick<ServerUnaryCall<Buffer, MessageBytes>, 'getAuthContext'>,
  identify: CallerCheck<Who>,
  reply: Reply,
  serve: (who: Who) => void,
): void {
  let who: Who;
  try {
    who = identify(call.getAuthContext().sslPeerCertificate?.raw);
  } catch (error) {
    reply(error);
    return;
  }
  serve(who);
}
