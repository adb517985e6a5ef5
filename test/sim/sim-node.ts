import { Controller } from '../../src/controller/controller.ts';
import type { TopicDefinition } from '../../src/coordination/coordinator.ts';
import { EtcdCoordinator } from '../../src/coordination/etcd/etcd-coordinator.ts';
import { SluiceError, asSluiceError } from '../../src/kernel/errors.ts';
import { FetchSessions } from '../../src/partition/fetch-sessions.ts';
import type { AppendOutcome } from '../../src/partition/partition-parts.ts';
import type { Partition } from '../../src/partition/partition.ts';
import type { PartitionReader } from '../../src/partition/reader.ts';
import type { ReplicationServer } from '../../src/partition/replication.ts';
import { FakeDisk } from '../support/fake-disk.ts';
import { Replicas } from '../../src/replicas/replicas.ts';
import type { FakeEtcd } from '../support/fake-etcd.ts';
import { FakeEtcdStore } from '../support/fake-etcd-store.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import type { ReplicaWatch } from './checker.ts';
import { EtcdWire } from './etcd-wire.ts';
import type { EventQueue } from './event-queue.ts';
import type { Machine } from './machine.ts';
import { PeerLinks } from './peer-links.ts';
import type { SimPlan } from './plan.ts';
import type { SimReplica } from './replica.ts';
import type { SimCluster, SimServer } from './sim-cluster.ts';
import { SimFiles } from './sim-files.ts';
import { SimLogs } from './sim-logs.ts';
import { WatchedLog } from './watched-log.ts';

/** The topic that everything is about. */
export const TOPIC = 't';
const CLUSTER = 'c';
const LEASE_TTL_MS = 2000;
const RETRY_MS = 500;
const INFLATED_MAX_BYTES = 1024 * 1024;

/** What a node of the simulation is in. */
export interface SimNodeCluster extends Pick<SimCluster, 'network' | 'trace' | 'fail'> {
  readonly servers: readonly SimNode[];
  readonly checker: ReplicaWatch;
}

/** What a node of the simulation needs. */
export interface SimNodeOptions {
  readonly machine: Machine;
  readonly zone: string;
  readonly events: EventQueue;
  readonly random: SeededRandom;
  readonly cluster: SimNodeCluster;
  readonly etcd: FakeEtcd;
  readonly plan: Pick<SimPlan, 'settings' | 'maxLagMs' | 'policy' | 'partitions'>;
}

/** How a process ends: `kill` keeps what the system has, `power` what is on the disk, `destroy` nothing. */
export type Ending = 'kill' | 'power' | 'destroy';

/** What runs on a machine now. */
interface Running {
  readonly wire: EtcdWire;
  readonly links: PeerLinks;
  readonly files: SimFiles;
  readonly replicas: Map<number, SimReplica>;
  /** What has to end in order, the last first. */
  readonly parts: AsyncDisposableStack;
  coordinator?: EtcdCoordinator;
  replication?: ReplicationServer;
}

/** One node: the production code of coordination, controller and partitions, on a machine that fails. */
export class SimNode implements SimServer {
  readonly name: string;
  readonly machine: Machine;
  readonly #options: SimNodeOptions;
  readonly #random: SeededRandom;
  #disk: FakeDisk;
  #running: Running | undefined;
  #watchLagMs = 0;
  #diskSlowness = 1;
  #undoFault: (() => void) | undefined;
  #isDraining = false;
  /** Whoever ends from now on comes back at once. */
  #isHealed = false;

  constructor(options: SimNodeOptions) {
    this.name = options.machine.name;
    this.machine = options.machine;
    this.#options = options;
    this.#random = options.random;
    this.#disk = new FakeDisk({ seed: options.random.below(2 ** 32) });
  }

  /** Nothing of it survives the end of its process. */
  get isMemoryOnly(): boolean {
    return this.#options.plan.settings.storage === 'memory';
  }

  get wire(): EtcdWire | undefined {
    return this.#running?.wire;
  }

  get links(): PeerLinks | undefined {
    return this.#running?.links;
  }

  get replication(): ReplicationServer | undefined {
    return this.#running?.replication;
  }

  /** Begins a process, if there is none. */
  start(): void {
    if (this.#running) return;
    const { machine } = this;
    const { cluster, events } = this.#options;
    const { network } = cluster;
    machine.start();
    const wire = new EtcdWire(machine, network, events, this.#random);
    const links = new PeerLinks({
      ...{ self: machine, network, random: this.#random },
      peer: (nodeId) => cluster.servers.find(({ name }) => name === nodeId)!,
    });
    const files = new SimFiles(machine, this.#disk, this.#random);
    const running: Running = { wire, links, files, replicas: new Map(), parts: new AsyncDisposableStack() };
    this.#running = running;
    this.#applyTrouble();
    machine.post(0, () => void this.#open(running));
  }

  /** Ends the process at once. */
  crash(how: Ending): void {
    const running = this.#running;
    if (!running) return;
    this.#running = undefined;
    const { checker } = this.#options.cluster;
    checker.ended(this.name);
    this.machine.stop();
    running.links.abandon();
    if (how === 'destroy') {
      // Else what it had on its way to etcd could make others rely on what is gone, see docs/replication.md.
      running.wire.discard();
      checker.destroyed(this.name);
      this.#disk.stop();
      this.#disk = new FakeDisk({ seed: this.#random.below(2 ** 32) });
    } else this.#disk = how === 'kill' ? this.#disk.kill() : this.#disk.crash();
  }

  /** Ends the process in order. */
  leave(): void {
    const running = this.#running;
    if (!running) return;
    // What it has in memory counts no more from now on.
    if (this.isMemoryOnly) this.#options.cluster.checker.destroyed(this.name);
    const end = (): void => {
      if (this.#running !== running) return;
      this.crash(this.isMemoryOnly ? 'destroy' : 'kill');
      if (this.#isHealed) this.start();
    };
    this.machine.post(0, () => void running.parts.disposeAsync().then(end, end));
  }

  /** Ends all that troubles it. */
  heal(): void {
    this.#isHealed = true;
    this.setWatchLag(0);
    this.setDiskSlowness(1);
    this.#undoFault?.();
    this.machine.thaw();
    this.start();
    this.drain(false);
    this.wire?.breakWatch();
  }

  setWatchLag(ms: number): void {
    this.#watchLagMs = ms;
    this.#applyTrouble();
  }

  /** @param factor of the usual time that writes take */
  setDiskSlowness(factor: number): void {
    this.#diskSlowness = factor;
    this.#applyTrouble();
  }

  /** Makes writes fail. @returns undoes it */
  failDisk(code: string): () => void {
    this.#undoFault?.();
    const undo = this.#disk.fail({ code, kinds: ['write', 'sync'] });
    this.#undoFault = undo;
    return undo;
  }

  /** Says whether it wants to hand over what it leads. */
  drain(draining: boolean): void {
    this.#isDraining = draining;
    this.machine.post(0, () => {
      void this.#running?.coordinator?.cluster.announce({ draining }).catch(() => undefined);
    });
  }

  leaderOf(partition: number): string | undefined {
    const coordinator = this.#coordinator();
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
        const isMember = this.#isMember();
        this.#options.cluster.checker.acknowledged({ replica, epoch, nextOffset, all: acks === 2, isMember });
        resolve();
      });
    });
    return outcome;
  }

  openReader(partition: number, offset: number): PartitionReader | Promise<PartitionReader> {
    return this.#replica(partition).object.openReader({ at: 'offset', offset });
  }

  /** Makes the topic, however often it takes. */
  createTopic(): void {
    const { settings, partitions } = this.#options.plan;
    const attempt = (): void => {
      const coordinator = this.#running?.coordinator;
      if (coordinator?.topic(TOPIC)) return;
      coordinator?.createTopic({ name: TOPIC, partitions, settings }).catch(() => undefined);
      this.machine.clock.setTimer(RETRY_MS, attempt);
    };
    attempt();
  }

  /** Whether etcd has this process as a member, as if that could be seen. */
  #isMember(): boolean {
    return this.#options.etcd.json(`/sluice/${CLUSTER}/nodes/${this.name}`) !== undefined;
  }

  #applyTrouble(): void {
    if (!this.#running) return;
    this.#running.wire.lagMs = this.#watchLagMs;
    this.#running.files.slowness = this.#diskSlowness;
  }

  #coordinator(): EtcdCoordinator {
    const coordinator = this.#running?.coordinator;
    if (!coordinator) throw new SluiceError('UNAVAILABLE', `${this.name} is starting`);
    return coordinator;
  }

  #replica(partition: number): SimReplica {
    const replica = this.#running?.replicas.get(partition);
    if (!replica) throw new SluiceError('NOT_LEADER', `${this.name} has no copy of ${partition}`);
    return replica;
  }

  /** Opens everything as the composition root does; again after a while when etcd does not answer. */
  async #open(running: Running): Promise<void> {
    const { machine } = this;
    const { etcd, zone } = this.#options;
    const { clock } = machine;
    const random = this.#random;
    try {
      const store = new FakeEtcdStore({
        etcd,
        link: running.wire,
        prefix: `/sluice/${CLUSTER}/`,
        clock,
        random,
      });
      running.coordinator = await EtcdCoordinator.on(store, {
        ...{ clusterName: CLUSTER, nodeId: this.name, leaseTtlMs: LEASE_TTL_MS, clock, random },
        description: {
          clientUrls: [],
          peerAddress: `${this.name}:1`,
          zone,
          capacity: 1,
          software: 'sim',
          draining: this.#isDraining,
        },
      });
    } catch {
      clock.setTimer(RETRY_MS, () => void this.#open(running));
      return;
    }
    this.#serve(running, running.coordinator);
  }

  #serve(running: Running, coordinator: EtcdCoordinator): void {
    const { machine } = this;
    const { clock } = machine;
    const logs = new SimLogs({ clock, disk: this.#disk, files: running.files, random: this.#random });
    running.parts.use(coordinator);
    running.parts.use(new Controller({ coordinator, clock, policy: this.#options.plan.policy }));
    running.replication = new FetchSessions({
      clock,
      find: (_, partition) => running.replicas.get(partition)?.object,
    });
    const trace = (what: string): void => this.#options.cluster.trace(() => `${this.name} ${what}`);
    Replicas.open({
      ...{ coordinator, clock, random: this.#random, logs, client: running.links },
      counters: { recordsIn: 0, bytesIn: 0, batchesIn: 0, duplicates: 0, gapRecords: 0 },
      inflatedMaxBytes: INFLATED_MAX_BYTES,
      maxLagMs: this.#options.plan.maxLagMs,
      listener: {
        onOpened: (topic, partition) => this.#opened(running, topic, partition),
        onClosed: (_, partition) => this.#closed(running, partition),
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
      async (replicas) => {
        // It may have left meanwhile.
        if (running.parts.disposed) await replicas.close();
        else running.parts.defer(() => replicas.close());
      },
      (error: unknown) => this.#options.cluster.fail(error),
    );
  }

  #opened(running: Running, topic: TopicDefinition, object: Partition): void {
    if (topic.name !== TOPIC) return;
    const { log } = object;
    if (!(log instanceof WatchedLog)) throw new TypeError('a log that is not watched');
    const { partition } = object;
    const replica = { nodeId: this.name, process: this.machine.process, partition, object, log };
    running.replicas.set(partition, replica);
    this.#options.cluster.checker.opened(replica);
  }

  #closed(running: Running, { partition }: Partition): void {
    const replica = running.replicas.get(partition);
    if (!replica) return;
    running.replicas.delete(partition);
    this.#options.cluster.checker.closed(replica);
  }
}
