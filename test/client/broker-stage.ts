import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Broker } from '../../src/broker/broker.ts';
import type { Client } from '../../src/client/client.ts';
import { connectWith } from '../../src/client/connect.ts';
import type { ConnectOptions } from '../../src/client/connection/connect-options.ts';
import { EmbeddedCoordinator } from '../../src/coordination/embedded/embedded.ts';
import type { TopicSettings } from '../../src/coordination/coordinator.ts';
import { NativeGateway } from '../../src/gateway/quic/gateway.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { MemoryBudget } from '../../src/log/memory-budget.ts';
import { memoryReplicaLogs } from '../../src/replicas/replica-logs.ts';
import { ANONYMOUS } from '../../src/security/principal.ts';
import { silentLogger } from '../../src/telemetry/logger.ts';
import { DEFAULT_LIMITS } from '../../src/transport/limits.ts';
import { createMemoryTransport } from '../../src/transport/memory/memory-transport.ts';
import type { MemoryTransportOptions } from '../../src/transport/memory/memory-transport.ts';
import type { Connection, Listener, Transport, TransportLimits } from '../../src/transport/transport.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { turns } from '../support/turns.ts';
import { topicSettings } from '../support/topic-settings.ts';

const MiB = 1024 * 1024;
const PORT = 7450;

/** What a test may want different. */
export interface BrokerStageOptions {
  readonly settings?: Partial<TopicSettings>;
  readonly partitions?: number;
  readonly transport?: MemoryTransportOptions;
  readonly transportLimits?: Partial<TransportLimits>;
}

/** A real broker behind the real gateway on a transport in memory, which can be killed and started again. Time stands still. */
export class BrokerStage implements AsyncDisposable {
  readonly clock = new FakeClock();
  broker!: Broker;
  gateway!: NativeGateway;
  /** The broker's end of each connection, newest last. */
  readonly connections: Connection[] = [];
  readonly #options: BrokerStageOptions;
  readonly #transport: Transport;
  readonly #clients: Client[] = [];
  #dataDir!: string;
  #coordinator!: EmbeddedCoordinator;
  #listener: Listener | undefined;

  private constructor(options: BrokerStageOptions) {
    this.#options = options;
    this.#transport = createMemoryTransport(options.transport);
  }

  static async open(options: BrokerStageOptions = {}): Promise<BrokerStage> {
    const stage = new BrokerStage(options);
    stage.#dataDir = await mkdtemp(join(tmpdir(), 'sluice-client-'));
    await stage.start();
    return stage;
  }

  /** A client of this broker; closed with the stage. */
  async client(options: ConnectOptions = {}): Promise<Client> {
    const ports = { clock: this.clock, random: systemRandom, hold: () => () => undefined };
    const client = await connectWith(ports, `memory://127.0.0.1:${PORT}`, {
      ca: '-----BEGIN CERTIFICATE-----',
      transport: this.#transport,
      ...options,
    });
    this.#clients.push(client);
    return client;
  }

  /** Starts the broker, on the data directory of the one before. */
  async start(): Promise<void> {
    const { clock } = this;
    const { settings, partitions = 1, transportLimits } = this.#options;
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
      authenticator: { authenticate: () => ANONYMOUS, isStillValid: () => true },
      logs: memoryReplicaLogs(clock, new MemoryBudget(512 * MiB)),
      topics: {
        autoCreate: true,
        partitions,
        settings: topicSettings(settings),
        maxTopics: 1000,
        maxPartitions: 1000,
      },
      inflatedMaxBytes: 16 * MiB,
    });
    this.gateway = new NativeGateway({
      broker: this.broker,
      clock,
      log: silentLogger,
      node: { nodeId: 'n', clusterId: 'c', software: 'test', nodes: () => [] },
    });
    const listen = {
      host: '127.0.0.1',
      port: PORT,
      identity: { certificatePem: '', privateKeyPem: '' },
      clientAuthoritiesPem: undefined,
      requireClientCertificate: false,
      limits: { ...DEFAULT_LIMITS, ...transportLimits },
    };
    this.#listener = await this.#transport.listen(listen, (connection) => {
      this.connections.push(connection);
      this.gateway.accept(connection);
    });
  }

  /** Stops the broker; what memory topics held is gone. */
  async stop(): Promise<void> {
    await this.#listener?.close();
    this.#listener = undefined;
    await this.broker[Symbol.asyncDispose]();
    await this.#coordinator[Symbol.asyncDispose]();
  }

  /** Cuts the newest connection, as a network does. */
  cut(): void {
    this.connections.at(-1)!.close(0, 'cut by the test');
  }

  /** Lets `ms` of time pass in small steps, with everything that happens in between. */
  async pass(ms: number): Promise<void> {
    const steps = Math.max(1, Math.ceil(ms / 50));
    for (let step = 0; step < steps; step++) {
      this.clock.advance(ms / steps);
      await turns(3);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closing = Promise.allSettled(this.#clients.map((client) => client.close({ timeoutMs: 100 })));
    await turns(5);
    await this.pass(200);
    await closing;
    if (this.#listener !== undefined) await this.stop();
    await rm(this.#dataDir, { recursive: true });
  }
}
