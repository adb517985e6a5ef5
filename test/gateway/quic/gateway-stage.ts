import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Broker } from '../../../src/broker/broker.ts';
import type { BrokerGroupOptions } from '../../../src/broker/open-groups.ts';
import type { Principal } from '../../../src/broker/ports.ts';
import { EmbeddedCoordinator } from '../../../src/coordination/embedded/embedded.ts';
import type { TopicSettings } from '../../../src/coordination/coordinator.ts';
import { NativeGateway } from '../../../src/gateway/quic/gateway.ts';
import type { GatewayLimits } from '../../../src/gateway/quic/limits.ts';
import { SluiceError } from '../../../src/kernel/errors.ts';
import { systemRandom } from '../../../src/kernel/random.ts';
import { MemoryBudget } from '../../../src/log/memory-budget.ts';
import type { PartitionLog } from '../../../src/log/partition-log.ts';
import type { ReplicaLogs } from '../../../src/replicas/replica-logs.ts';
import { memoryReplicaLogs } from '../../../src/replicas/replica-logs.ts';
import { ANONYMOUS } from '../../../src/security/principal.ts';
import type { Logger } from '../../../src/telemetry/logger.ts';
import { silentLogger } from '../../../src/telemetry/logger.ts';
import { DEFAULT_LIMITS } from '../../../src/transport/limits.ts';
import type { MemoryTransportOptions } from '../../../src/transport/memory/memory-transport.ts';
import { createMemoryTransport } from '../../../src/transport/memory/memory-transport.ts';
import type { Connection, Listener, Transport, TransportLimits } from '../../../src/transport/transport.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { batchOf, NativeClient, produce, receive } from './native-client.ts';
import { topicSettings } from '../../support/topic-settings.ts';

const MiB = 1024 * 1024;

/** What a test may want different. */
export interface StageOptions {
  readonly limits?: Partial<GatewayLimits>;
  readonly transport?: MemoryTransportOptions;
  readonly transportLimits?: Partial<TransportLimits>;
  readonly settings?: Partial<TopicSettings>;
  readonly partitions?: number;
  /** Tokens that are let in, by the principal's name; without it everybody is. */
  readonly tokens?: Readonly<Record<string, string>>;
  /** Logs answer reads in a later turn, as a disk does. */
  readonly lateReads?: boolean;
  /** Who coordinates groups and queues. Default: those there are. */
  readonly groups?: BrokerGroupOptions;
  /** Default: nothing is written. */
  readonly log?: Logger;
}

/** A broker behind the native gateway on a transport in memory, with a clock that stands still. */
export class GatewayStage implements AsyncDisposable {
  readonly clock = new FakeClock();
  broker!: Broker;
  gateway!: NativeGateway;
  /** The broker's end of each connection. */
  readonly serverEnds: Connection[] = [];
  /** Tokens that are no longer good. */
  readonly revoked = new Set<string>();
  readonly #options: StageOptions;
  #dataDir!: string;
  #coordinator!: EmbeddedCoordinator;
  #transport!: Transport;
  #listener!: Listener;

  private constructor(options: StageOptions) {
    this.#options = options;
  }

  static async open(options: StageOptions = {}): Promise<GatewayStage> {
    const stage = new GatewayStage(options);
    await stage.#open();
    return stage;
  }

  /** A connected client that has not said anything. */
  async connect(limits: Partial<TransportLimits> = {}): Promise<NativeClient> {
    const connection = await this.#transport.connect({
      host: '127.0.0.1',
      port: this.#listener.port,
      serverName: undefined,
      authoritiesPem: '',
      identity: undefined,
      limits: { ...DEFAULT_LIMITS, ...limits },
      signal: undefined,
    });
    return new NativeClient(connection);
  }

  /** A client that has said HELLO. */
  async client(limits: Partial<TransportLimits> = {}): Promise<NativeClient> {
    const client = await this.connect(limits);
    await client.hello();
    return client;
  }

  /** A new client publishes a record and gets it back: the broker serves others, whatever happened to somebody. */
  async servesOthers(): Promise<boolean> {
    const client = await this.client();
    await client.request({ case: 'subscribe', value: { subscriptionId: 1, filter: 'others' } });
    const { channel } = await client.delivery();
    await produce(client.bidi(), 'others', batchOf(['served']));
    const [text] = await receive(channel, 1);
    client.connection.close(0, '');
    return text === 'served';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listener.close();
    await this.broker[Symbol.asyncDispose]();
    await this.#coordinator[Symbol.asyncDispose]();
    await rm(this.#dataDir, { recursive: true });
  }

  #logs(): ReplicaLogs {
    const memory = memoryReplicaLogs(this.clock, new MemoryBudget(512 * MiB));
    if (!this.#options.lateReads) return memory;
    const open: ReplicaLogs['open'] = async (...parameters) => {
      const { log, isIntact } = await memory.open(...parameters);
      return { log: lateLog(log), isIntact };
    };
    return { ...memory, open };
  }

  async #open(): Promise<void> {
    const { clock } = this;
    const options = this.#options;
    this.#dataDir = await mkdtemp(join(tmpdir(), 'sluice-gateway-'));
    this.#coordinator = await EmbeddedCoordinator.open({
      dataDir: this.#dataDir,
      clock,
      random: systemRandom,
    });
    this.broker = await Broker.open({
      coordinator: this.#coordinator,
      clock,
      random: systemRandom,
      authorizer: { allows: () => true },
      authenticator: {
        authenticate: ({ token }) => principalOf(options.tokens, token),
        isStillValid: ({ tokenId }) => tokenId === undefined || !this.revoked.has(tokenId),
      },
      logs: this.#logs(),
      topics: {
        autoCreate: true,
        partitions: options.partitions ?? 1,
        settings: topicSettings(options.settings),
        maxTopics: 10_000,
        maxPartitions: 10_000,
      },
      inflatedMaxBytes: 16 * MiB,
      groups: options.groups,
    });
    this.gateway = new NativeGateway({
      broker: this.broker,
      clock,
      log: options.log ?? silentLogger,
      node: {
        nodeId: 'n',
        clusterId: 'c',
        software: 'test',
        nodes: () => [{ nodeId: 'n', urls: ['quic://n:7450'], zone: 'z' }],
      },
      ...(options.limits && { limits: options.limits }),
    });
    this.#transport = createMemoryTransport({ clock, ...options.transport });
    this.#listener = await this.#transport.listen(
      {
        host: '127.0.0.1',
        port: 0,
        identity: { certificatePem: '', privateKeyPem: '' },
        clientAuthoritiesPem: undefined,
        requireClientCertificate: false,
        limits: { ...DEFAULT_LIMITS, ...options.transportLimits },
      },
      (connection) => {
        this.serverEnds.push(connection);
        this.gateway.accept(connection);
      },
    );
  }
}

/** The same log, but reads take a turn of the event loop. */
function lateLog(log: PartitionLog): PartitionLog {
  return new Proxy(log, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      const method = value.bind(target) as (...parameters: unknown[]) => unknown;
      if (name !== 'read') return method;
      return (...parameters: unknown[]) =>
        new Promise((resolve) => setImmediate(() => resolve(method(...parameters))));
    },
  });
}

function principalOf(tokens: StageOptions['tokens'], token: string | undefined): Principal {
  if (!tokens) return ANONYMOUS;
  const name = Object.keys(tokens).find((candidate) => tokens[candidate] === token);
  if (name === undefined) throw new SluiceError('UNAUTHENTICATED', 'no such token');
  return { name, kind: 'token', admin: false, rights: [], tokenId: token! };
}
