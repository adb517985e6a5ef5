import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Broker } from '../../src/broker/broker.ts';
import type { BrokerOptions, PublishOutcome, SubscribeOptions } from '../../src/broker/broker.ts';
import type { BrokerGroupOptions } from '../../src/broker/open-groups.ts';
import type { Authorizer, SubscriberInfo } from '../../src/broker/ports.ts';
import type { TopicDefaults } from '../../src/broker/views.ts';
import { EmbeddedCoordinator } from '../../src/coordination/embedded/embedded.ts';
import { SluiceError } from '../../src/kernel/errors.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { MemoryBudget } from '../../src/log/memory-budget.ts';
import type { PartitionReader } from '../../src/partition/reader.ts';
import type { ReplicaLogs } from '../../src/replicas/replica-logs.ts';
import { memoryReplicaLogs } from '../../src/replicas/replica-logs.ts';
import type { Principal } from '../../src/security/principal.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { topicSettings } from '../support/topic-settings.ts';

export const ALICE: Principal = { name: 'alice', kind: 'token', admin: false, rights: [] };
export const BOB: Principal = { name: 'bob', kind: 'token', admin: false, rights: [] };

export const SUBSCRIBER: SubscriberInfo = {
  connection: '127.0.0.1:1',
  clientId: 'test',
  subscriptionId: 1,
  name: '',
  delivery: 'ordered',
  paused: false,
  blockedMs: () => 0,
};

/** Where a broker under test gets its logs, each time it starts. */
export type MakeLogs = (node: {
  readonly clock: FakeClock;
  readonly coordinator: EmbeddedCoordinator;
}) => ReplicaLogs | Promise<ReplicaLogs>;

/** A broker on a data directory of its own, with a clock that stands still. */
export class TestBroker implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly dataDir: string;
  broker!: Broker;
  coordinator!: EmbeddedCoordinator;
  readonly #topics: Partial<TopicDefaults>;
  readonly #authorizer: Authorizer;
  readonly #makeLogs: MakeLogs;
  readonly #groups: BrokerGroupOptions | undefined;
  /** What the broker told of topics in trouble. */
  readonly told: string[] = [];

  private constructor(
    dataDir: string,
    topics: Partial<TopicDefaults>,
    authorizer: Authorizer,
    makeLogs: MakeLogs,
    groups: BrokerGroupOptions | undefined,
  ) {
    this.dataDir = dataDir;
    this.#topics = topics;
    this.#authorizer = authorizer;
    this.#makeLogs = makeLogs;
    this.#groups = groups;
  }

  static async open(
    topics: Partial<TopicDefaults> = {},
    authorizer: Authorizer = { allows: () => true },
    makeLogs: MakeLogs = ({ clock }) => memoryReplicaLogs(clock, new MemoryBudget(Infinity)),
    groups?: BrokerGroupOptions,
  ): Promise<TestBroker> {
    const dataDir = await mkdtemp(join(tmpdir(), 'sluice-broker-'));
    const test = new TestBroker(dataDir, topics, authorizer, makeLogs, groups);
    await test.start();
    return test;
  }

  async start(): Promise<void> {
    const { clock, dataDir } = this;
    this.coordinator = await EmbeddedCoordinator.open({ dataDir, clock, random: systemRandom });
    const options: BrokerOptions = {
      coordinator: this.coordinator,
      clock,
      random: systemRandom,
      authorizer: this.#authorizer,
      authenticator: { authenticate: () => ALICE, isStillValid: () => true },
      logs: await this.#makeLogs({ clock, coordinator: this.coordinator }),
      topics: { ...DEFAULTS, ...this.#topics },
      inflatedMaxBytes: 1024 * 1024,
      groups: this.#groups,
      observer: {
        onOpenFailed: ({ name }, { code }) => this.told.push(`${name} failed ${code}`),
        onRecovered: ({ name }) => this.told.push(`${name} recovered`),
        onRemoveFailed: ({ name }, { code }) => this.told.push(`${name} not removed ${code}`),
      },
    };
    this.broker = await Broker.open(options);
  }

  /** Stops in good order. */
  async stop(): Promise<void> {
    await this.broker[Symbol.asyncDispose]();
    await this.coordinator[Symbol.asyncDispose]();
  }

  /** Stops as far as the data directory can tell without closing any partition. */
  async crash(): Promise<void> {
    await this.coordinator[Symbol.asyncDispose]();
  }

  /** Publishes and waits; refusals are thrown. */
  publish(topic: string, batch: Buffer, partition?: number, principal = ALICE): Promise<PublishOutcome> {
    return new Promise((resolve, reject) =>
      this.broker.publish(principal, topic, partition, batch, 1, (outcome) =>
        outcome instanceof SluiceError ? reject(outcome) : resolve(outcome),
      ),
    );
  }

  /** Subscribes and gathers the readers. */
  async subscribe(filter: string, options: Partial<SubscribeOptions> = {}, principal = ALICE) {
    const readers: PartitionReader[] = [];
    const subscriber = {
      ...SUBSCRIBER,
      takePartition: (reader: PartitionReader): void => void readers.push(reader),
    };
    const subscription = await this.broker.subscribe(principal, {
      filter,
      start: { at: 'latest' },
      subscriber,
      ...options,
    });
    return { subscription, readers };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await rm(this.dataDir, { recursive: true, force: true });
  }
}

const DEFAULTS: TopicDefaults = {
  autoCreate: true,
  partitions: 1,
  settings: topicSettings({ retentionBytes: 1024 * 1024 }),
  maxTopics: 100,
  maxPartitions: 200,
};
