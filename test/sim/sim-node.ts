import { Controller } from '../../src/controller/controller.ts';
import type { TopicDefinition } from '../../src/coordination/coordinator.ts';
import type { EtcdCoordinator } from '../../src/coordination/etcd/etcd-coordinator.ts';
import { SluiceError, asSluiceError } from '../../src/kernel/errors.ts';
import { deleteForGood } from '../../src/partition/delete-records.ts';
import { FetchSessions } from '../../src/partition/fetch-sessions.ts';
import type { AppendOutcome } from '../../src/partition/partition-parts.ts';
import type { Partition } from '../../src/partition/partition.ts';
import type { PartitionReader } from '../../src/partition/reader.ts';
import { Replicas } from '../../src/replicas/replicas.ts';
import type { ReplicaWatch } from './checker.ts';
import type { SimPlan } from './plan.ts';
import type { SimReplica } from './replica.ts';
import type { SimServer } from './sim-cluster.ts';
import type { HostProcess, SimHostCluster, SimHostOptions } from './sim-host.ts';
import { SimHost } from './sim-host.ts';
import { SimLogs } from './sim-logs.ts';
import { WatchedLog } from './watched-log.ts';

/** The topic that everything is about. */
export const TOPIC = 't';
const INFLATED_MAX_BYTES = 1024 * 1024;

/** What a node of the simulation is in. */
export interface SimNodeCluster extends SimHostCluster {
  readonly checker: ReplicaWatch;
}

/** What a node of the simulation needs. */
export interface SimNodeOptions extends SimHostOptions {
  readonly cluster: SimNodeCluster;
  readonly plan: Pick<SimPlan, 'settings' | 'maxLagMs' | 'policy' | 'partitions'>;
}

/** One node: the production code of coordination, controller and partitions, on a machine that fails. */
export class SimNode extends SimHost implements SimServer {
  readonly #options: SimNodeOptions;
  #replicas = new Map<number, SimReplica>();

  constructor(options: SimNodeOptions) {
    super(options);
    this.#options = options;
  }

  get isMemoryOnly(): boolean {
    return this.#options.plan.settings.storage === 'memory';
  }

  leaderOf(partition: number): string | undefined {
    const coordinator = this.coordinator;
    const topic = coordinator.topic(TOPIC);
    return (topic && coordinator.cluster.partitionState(topic.id, partition)?.state.leader) ?? undefined;
  }

  async publish(partition: number, batch: Buffer, acks: 1 | 2): Promise<AppendOutcome> {
    const replica = this.#replica(partition);
    const { object } = replica;
    let outcome: AppendOutcome;
    try {
      outcome = object.append(batch, acks);
    } catch (error) {
      return new Promise((_, reject) => object.whenCertain(asSluiceError(error), reject));
    }
    const { nextOffset } = outcome;
    await new Promise<void>((resolve, reject) => {
      object.whenAcknowledged(nextOffset, acks, (error) => {
        if (error) {
          reject(error);
          return;
        }
        const epoch = object.leaderEpoch;
        const isMember = this.isMember;
        this.#options.cluster.checker.acknowledged({ replica, epoch, nextOffset, all: acks === 2, isMember });
        resolve();
      });
    });
    return outcome;
  }

  openReader(partition: number, offset: number): PartitionReader | Promise<PartitionReader> {
    return this.#replica(partition).object.openReader({ at: 'offset', offset });
  }

  async erase(partition: number, offset: number): Promise<void> {
    await deleteForGood(this.#replica(partition).object, offset);
  }

  /** Makes the topic, however often it takes. */
  createTopic(): void {
    const { settings, partitions } = this.#options.plan;
    this.makeTopic({ name: TOPIC, partitions, settings });
  }

  protected ended(): void {
    this.#replicas = new Map();
    this.#options.cluster.checker.ended(this.name);
  }

  protected destroyed(): void {
    this.#options.cluster.checker.destroyed(this.name);
  }

  protected serve(running: HostProcess, coordinator: EtcdCoordinator): void {
    const { machine } = this;
    const { clock } = machine;
    const { disk, files, links } = running;
    const logs = new SimLogs({ clock, disk, files, random: this.random });
    const replicas = new Map<number, SimReplica>();
    this.#replicas = replicas;
    running.parts.use(coordinator);
    running.parts.use(new Controller({ coordinator, clock, policy: this.#options.plan.policy }));
    running.replication = new FetchSessions({
      clock,
      find: (_, partition) => replicas.get(partition)?.object,
    });
    const trace = (what: string): void => this.#options.cluster.trace(() => `${this.name} ${what}`);
    Replicas.open({
      ...{ coordinator, clock, random: this.random, logs, client: links },
      counters: { recordsIn: 0, bytesIn: 0, batchesIn: 0, duplicates: 0, gapRecords: 0 },
      inflatedMaxBytes: INFLATED_MAX_BYTES,
      maxLagMs: this.#options.plan.maxLagMs,
      listener: {
        onOpened: (topic, partition) => this.#opened(replicas, topic, partition),
        onClosed: (_, partition) => this.#closed(replicas, partition),
      },
      observer: {
        onUnreachable: () => undefined,
        onReached: () => undefined,
        onFailed: ({ partition }, error) => trace(`p${partition} failed: ${error.message}`),
        onLost: ({ partition }) => trace(`p${partition} lost`),
        onRole: ({ partition }, role, epoch) => trace(`p${partition} ${role} in epoch ${epoch}`),
        onTruncated: ({ partition }, from, to) => trace(`p${partition} truncated from ${from} to ${to}`),
        onReset: ({ partition }, from, to) => trace(`p${partition} reset from ${from} to ${to}`),
        onPaused: ({ partition }, code) => trace(`p${partition} paused: ${code}`),
      },
    }).then(
      async (opened) => {
        // It may have left meanwhile.
        if (running.parts.disposed) await opened.close();
        else running.parts.defer(() => opened.close());
      },
      (error: unknown) => this.#options.cluster.fail(error),
    );
  }

  #opened(replicas: Map<number, SimReplica>, topic: TopicDefinition, object: Partition): void {
    if (topic.name !== TOPIC) return;
    const { log } = object;
    if (!(log instanceof WatchedLog)) throw new TypeError('a log that is not watched');
    const { partition } = object;
    const replica = { nodeId: this.name, process: this.machine.process, partition, object, log };
    replicas.set(partition, replica);
    this.#options.cluster.checker.opened(replica);
  }

  #closed(replicas: Map<number, SimReplica>, { partition }: Partition): void {
    const replica = replicas.get(partition);
    if (!replica) return;
    replicas.delete(partition);
    this.#options.cluster.checker.closed(replica);
  }

  #replica(partition: number): SimReplica {
    const replica = this.#replicas.get(partition);
    if (!replica) throw new SluiceError('NOT_LEADER', `${this.name} has no copy of ${partition}`);
    return replica;
  }
}
