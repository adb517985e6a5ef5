import { Broker } from '../../../src/broker/broker.ts';
import type { Principal } from '../../../src/broker/ports.ts';
import { Controller } from '../../../src/controller/controller.ts';
import type { EtcdCoordinator } from '../../../src/coordination/etcd/etcd-coordinator.ts';
import type { TopicSettings } from '../../../src/coordination/coordinator.ts';
import type { GroupAnswer, GroupCase, GroupQuestionInit } from '../../../src/groups/api.ts';
import type { MakeGroupParts } from '../../../src/groups/coordinator.ts';
import { makeGroupParts } from '../../../src/groups/make-parts.ts';
import { SluiceError } from '../../../src/kernel/errors.ts';
import { farZoneOf } from '../../../src/node/members.ts';
import { Observers } from '../../../src/observers/observers.ts';
import { LocalServices } from '../../../src/peer/local-services.ts';
import type { PeerServices } from '../../../src/peer/ports.ts';
import { newPartitionCounters } from '../../../src/partition/reader-source.ts';
import type { Partition } from '../../../src/partition/partition.ts';
import type { HostProcess, SimHostCluster, SimHostOptions } from '../sim-host.ts';
import { SimHost } from '../sim-host.ts';
import { SimLogs } from '../sim-logs.ts';
import type { GroupServer } from './group-cluster.ts';
import type { GroupPlan } from './group-plan.ts';
import { SimPeers } from './sim-peers.ts';
import type { OnReceived } from './watched-queues.ts';
import { WatchedQueues } from './watched-queues.ts';

const PRINCIPAL: Principal = { name: 'sim', kind: 'token', admin: true, rights: [] };
const INFLATED_MAX_BYTES = 1024 * 1024;
const ACKS_ALL = 2;

/** What a node is in. */
export interface GroupNodeCluster extends SimHostCluster {
  readonly servers: readonly GroupNode[];
  readonly onReceived: OnReceived;
  /** A process has ended, and all that its node had stored is gone. */
  destroyed(nodeId: string): void;
}

/** What a node needs. */
export interface GroupNodeOptions extends SimHostOptions {
  readonly cluster: GroupNodeCluster;
  readonly plan: Pick<GroupPlan, 'settings' | 'maxLagMs' | 'policy' | 'statePartitions'>;
}

/** One node with the production broker: coordination, controller, partitions, and the coordinators of groups and queues. */
export class GroupNode extends SimHost implements GroupServer {
  readonly isMemoryOnly = false;
  readonly #options: GroupNodeOptions;
  readonly #zone: string;
  #broker: Broker | undefined;
  #services: PeerServices | undefined;

  constructor(options: GroupNodeOptions) {
    super(options);
    this.#options = options;
    this.#zone = options.zone;
  }

  /** What it does for the others; undefined while it starts. */
  get services(): PeerServices | undefined {
    return this.#services;
  }

  ask<C extends GroupCase>(
    name: C,
    question: GroupQuestionInit<C>,
    signal: AbortSignal,
  ): Promise<GroupAnswer<C>> {
    return this.#open().groups.ask(PRINCIPAL, name, question, { signal });
  }

  publish(topic: string, partition: number, batch: Buffer): Promise<number> {
    const broker = this.#open();
    return new Promise((resolve, reject) => {
      broker.publish(PRINCIPAL, topic, partition, batch, ACKS_ALL, (outcome) => {
        if (outcome instanceof SluiceError) reject(outcome);
        else resolve(outcome.baseOffset);
      });
    });
  }

  /** Its copy of a partition, whatever its role. */
  copy(topicId: string, partition: number): Partition | undefined {
    return this.#broker?.copy(topicId, partition);
  }

  /** Copies of a topic that it leads. */
  led(topic: string): readonly Partition[] {
    const copies = this.#broker?.copies() ?? [];
    return copies.filter((copy) => copy.topic === topic && copy.role === 'leader');
  }

  protected ended(): void {
    this.#broker = undefined;
    this.#services = undefined;
  }

  protected destroyed(): void {
    this.#options.cluster.destroyed(this.name);
  }

  protected serve(running: HostProcess, coordinator: EtcdCoordinator): void {
    const { cluster, plan } = this.#options;
    const { clock } = this.machine;
    const { disk, files, links, parts } = running;
    parts.use(coordinator);
    parts.use(new Controller({ coordinator, clock, policy: plan.policy }));
    const peers = new SimPeers({
      ...{ self: this.machine, network: cluster.network, random: this.random },
      peer: (nodeId) => cluster.servers.find(({ name }) => name === nodeId)!,
    });
    const shared = {
      ...{ coordinator, clock, random: this.random, counters: newPartitionCounters() },
      inflatedMaxBytes: INFLATED_MAX_BYTES,
    };
    const observers = new Observers({ ...shared, reader: peers, zone: this.#zone });
    parts.defer(() => observers.close());
    Broker.open({
      ...shared,
      authorizer: { allows: () => true },
      authenticator: { authenticate: () => PRINCIPAL, isStillValid: () => true },
      logs: new SimLogs({ clock, disk, files, random: this.random, isWatched: false }),
      topics: {
        ...{ autoCreate: false, partitions: 1, settings: plan.settings satisfies TopicSettings },
        ...{ maxTopics: 10, maxPartitions: 100 },
      },
      maxLagMs: plan.maxLagMs,
      ...{ client: links, others: peers, copies: observers },
      groups: {
        storage: { partitions: plan.statePartitions, replicationFactor: 3, minInsync: 2 },
        makeParts: this.#makeParts(),
        observer: this.#observer(),
      },
    }).then(
      async (broker) => {
        // It may have left meanwhile.
        if (parts.disposed) await broker[Symbol.asyncDispose]();
        else this.#opened(running, parts.use(broker), coordinator, observers);
      },
      (error: unknown) => cluster.fail(error),
    );
  }

  #opened(running: HostProcess, broker: Broker, { cluster }: EtcdCoordinator, observers: Observers): void {
    const { clock } = this.machine;
    const services = new LocalServices(
      {
        clock,
        find: (topicId, index) => broker.copy(topicId, index),
        relayed: (topicId, index) => observers.relayed(topicId, index),
        farZoneOf: (nodeId) => farZoneOf(nodeId, { zone: this.#zone }, cluster),
      },
      broker.groups,
    );
    running.parts.defer(() => services.close());
    running.replication = services.replication;
    this.#broker = broker;
    this.#services = services;
  }

  #makeParts(): MakeGroupParts {
    const { onReceived } = this.#options.cluster;
    return (options) => {
      const { groups, queues } = makeGroupParts(options);
      return { groups, queues: new WatchedQueues(queues, onReceived) };
    };
  }

  #observer() {
    const trace = (what: string): void => this.#options.cluster.trace(() => `${this.name} ${what}`);
    return {
      onLoaded: (partition: number, epoch: number, facts: number): void =>
        trace(`coordinates ${partition} in epoch ${epoch}, from ${facts} facts`),
      onFailed: (partition: number, epoch: number, error: SluiceError): void => {
        trace(`coordinates ${partition} in epoch ${epoch} no more: ${error.message}`);
        if (error.code === 'CORRUPT_LOG' || error.code === 'INTERNAL') this.#options.cluster.fail(error);
      },
    };
  }

  /** @throws UNAVAILABLE while it starts */
  #open(): Broker {
    if (this.#broker) return this.#broker;
    throw new SluiceError('UNAVAILABLE', `${this.name} is starting`);
  }
}
