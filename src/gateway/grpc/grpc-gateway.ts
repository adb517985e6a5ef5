import { Server } from '@grpc/grpc-js';
import { file_grpc_health_v1_health } from '../../gen/grpc/health/v1/health_pb.ts';
import { MessageService } from '../../gen/sluice/messages/v1/messages_pb.ts';
import type { Clock } from '../../kernel/clock.ts';
import { SluiceError } from '../../kernel/errors.ts';
import type { FailedAuthentications } from '../../security/failed-authentications.ts';
import type { GrpcSettings } from '../../transport/grpc/grpc-settings.ts';
import { channelOptions } from '../../transport/grpc/grpc-settings.ts';
import type { TlsIdentity } from '../../transport/transport.ts';
import { CredentialWatch } from '../credential-watch.ts';
import type { SecurityLog } from '../security-log.ts';
import { CallGuard } from './call-guard.ts';
import { GrpcCounters } from './counters.ts';
import type { GrpcListenOptions } from './grpc-listener.ts';
import { GrpcListener } from './grpc-listener.ts';
import { Health } from './health.ts';
import { LeaseLedger } from './lease-ledger.ts';
import { LeaseSettler } from './lease-settler.ts';
import type { MessageContext, MessageLimits } from './message-context.ts';
import { messageService } from './message-service.ts';
import type { MessageBroker } from './ports.ts';
import { RecordPublisher } from './record-publisher.ts';
import { reflectionOf } from './reflection.ts';

/** Calls that were ended have so long to tell their clients why, milliseconds. */
const GOODBYE_MS = 500;

/** Bounds of the gateway; see `GrpcSettings` and `MessageLimits`. */
export interface GrpcGatewayLimits extends MessageLimits, GrpcSettings {
  /** Calls that one client may have open on a connection. */
  readonly maxStreams: number;
  /** Bytes of messages that all clients together may have on their way or being worked on. */
  readonly maxHeldBytes: number;
  /** Calls of all clients at once; one more is refused with OVERLOADED. */
  readonly maxCalls: number;
}

/** What the gateway is made of. */
export interface GrpcGatewayOptions {
  readonly broker: MessageBroker;
  readonly clock: Clock;
  readonly listen: Omit<GrpcListenOptions, 'clock'>;
  readonly limits: GrpcGatewayLimits;
  readonly security: Pick<SecurityLog, 'note'>;
  readonly failedAuthentications: FailedAuthentications;
}

/** The message service over gRPC, with health (grpc.health.v1) and reflection. @see docs/grpc.md */
export class GrpcGateway {
  readonly counters = new GrpcCounters();
  readonly #server: Server;
  readonly #guard: CallGuard;
  readonly #ledger = new LeaseLedger();
  readonly #health = new Health(['', MessageService.typeName]);
  readonly #clock: Clock;
  #listener!: GrpcListener;
  #stopping: Promise<void> | undefined;

  private constructor({ broker, clock, limits, security, failedAuthentications }: GrpcGatewayOptions) {
    const { counters } = this;
    this.#clock = clock;
    this.#guard = new CallGuard({
      ...{ broker, clock, counters, security, failedAuthentications },
      prefix: `/${MessageService.typeName}/`,
      maxHeldBytes: limits.maxHeldBytes,
      maxMessageBytes: limits.maxMessageBytes,
      maxCalls: limits.maxCalls,
    });
    this.#server = new Server({ ...serverOptions(limits), interceptors: [this.#guard.interceptor] });
    const context: MessageContext = {
      ...{ broker, clock, limits, counters, ledger: this.#ledger },
      publisher: new RecordPublisher(broker, clock),
      settler: new LeaseSettler(broker),
    };
    const { definition, implementation } = messageService(context, {
      ...{ broker, clock, counters, credentials: new CredentialWatch(clock) },
      callOf: (metadata) => this.#guard.callOf(metadata),
    });
    this.#server.addService(definition, implementation);
    this.#health.addToServer(this.#server);
    reflectionOf([MessageService.file, file_grpc_health_v1_health]).addToServer(this.#server);
  }

  /** Begins to serve. @throws ADDRESS_IN_USE, INVALID_CONFIG */
  static async open(options: GrpcGatewayOptions): Promise<GrpcGateway> {
    const gateway = new GrpcGateway(options);
    gateway.#listener = await GrpcListener.open({ ...options.listen, clock: options.clock }, gateway.#server);
    return gateway;
  }

  get host(): string {
    return this.#listener.host;
  }

  get port(): number {
    return this.#listener.port;
  }

  get connectionCount(): number {
    return this.#listener.connectionCount;
  }

  /** Connections that were not let in. */
  get refusedConnections(): number {
    return this.#listener.refused;
  }

  /** Calls open now. */
  get callCount(): number {
    return this.#guard.callCount;
  }

  /** Bytes of messages that have arrived and are not done with. */
  get heldBytes(): number {
    return this.#guard.heldBytes;
  }

  /** Leases that count against the credit of a call. */
  get leaseCount(): number {
    return this.#ledger.size;
  }

  /** New certificates for connections to come; see `Listener.setIdentity`. @throws INVALID_CONFIG, and nothing has changed */
  setIdentity(identity: TlsIdentity, clientAuthoritiesPem?: string): void {
    this.#listener.setIdentity(identity, clientAuthoritiesPem);
  }

  /**
   * Lets clients go: no new connections, health says NOT_SERVING, consuming calls end with DRAINING, what else is under way is answered.
   * Resolves when all have gone, at the latest after `timeoutMs`. Idempotent.
   */
  drain(timeoutMs: number): Promise<void> {
    this.#stopping ??= this.#stop(new SluiceError('DRAINING', 'this node is stopping'), timeoutMs);
    return this.#stopping;
  }

  /** Stops at once. Idempotent. */
  async close(): Promise<void> {
    this.#guard.endCalls(new SluiceError('CLOSED', 'this node has stopped'));
    // A drain that goes on still waits for its clients.
    const drained = this.drain(GOODBYE_MS);
    await this.#within(GOODBYE_MS, drained);
    await this.#cutOff();
    await drained;
  }

  async #stop(reason: SluiceError, timeoutMs: number): Promise<void> {
    const gone = this.#listener.stop();
    this.#health.setAll('NOT_SERVING');
    this.#guard.endCalls(reason, MessageService.method.consume.name);
    this.#guard.endForeignCalls(reason);
    // Says GOAWAY to all; it does not know of connections that it has not accepted itself, so that its answer means nothing.
    this.#server.tryShutdown(() => undefined);
    await this.#within(timeoutMs, gone);
    await this.#cutOff();
  }

  async #cutOff(): Promise<void> {
    this.#server.forceShutdown();
    await this.#listener.close();
  }

  /** Resolves when `event` has happened, at the latest after `timeoutMs`. */
  async #within(timeoutMs: number, event: Promise<void>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const timer = this.#clock.setTimer(timeoutMs, () => resolve(undefined));
    await Promise.race([event, promise]);
    timer.cancel();
  }
}

function serverOptions(limits: GrpcGatewayLimits): ConstructorParameters<typeof Server>[0] {
  return {
    ...channelOptions(limits),
    // What is too large for a client says the client.
    'grpc.max_send_message_length': -1,
    'grpc.max_concurrent_streams': limits.maxStreams,
  };
}
