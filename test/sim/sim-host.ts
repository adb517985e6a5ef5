import { EtcdCoordinator } from '../../src/coordination/etcd/etcd-coordinator.ts';
import type { NewTopic } from '../../src/coordination/coordinator.ts';
import { SluiceError } from '../../src/kernel/errors.ts';
import type { ReplicationServer } from '../../src/partition/replication.ts';
import { FakeDisk } from '../support/fake-disk.ts';
import { FakeEtcdStore } from '../support/fake-etcd-store.ts';
import type { FakeEtcd } from '../support/fake-etcd.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import { EtcdWire } from './etcd-wire.ts';
import type { EventQueue } from './event-queue.ts';
import type { Machine } from './machine.ts';
import type { Network } from './network.ts';
import { PeerLinks } from './peer-links.ts';
import { SimFiles } from './sim-files.ts';

const CLUSTER = 'c';
const LEASE_TTL_MS = 2000;
const RETRY_MS = 500;

/** What a host is in. */
export interface SimHostCluster {
  readonly network: Network;
  readonly servers: readonly SimHost[];
  trace(text: () => string): void;
  /** A promise was broken, seen outside of a step's own turn. */
  fail(error: unknown): void;
}

/** What a host needs. */
export interface SimHostOptions {
  readonly machine: Machine;
  readonly zone: string;
  readonly events: EventQueue;
  readonly random: SeededRandom;
  readonly cluster: SimHostCluster;
  readonly etcd: FakeEtcd;
}

/** How a process ends: `kill` keeps what the system has, `power` what is on the disk, `destroy` nothing. */
export type Ending = 'kill' | 'power' | 'destroy';

/** What runs on a machine now. */
export interface HostProcess {
  readonly wire: EtcdWire;
  readonly links: PeerLinks;
  readonly files: SimFiles;
  readonly disk: FakeDisk;
  /** What has to end in order, the last first. */
  readonly parts: AsyncDisposableStack;
  coordinator?: EtcdCoordinator;
  replication?: ReplicationServer;
}

/** A machine with a disk and a link to etcd, and the processes on it, one after the other, which fail. */
export abstract class SimHost {
  readonly name: string;
  readonly machine: Machine;
  protected readonly random: SeededRandom;
  readonly #options: SimHostOptions;
  #disk: FakeDisk;
  #running: HostProcess | undefined;
  #watchLagMs = 0;
  #diskSlowness = 1;
  #undoFault: (() => void) | undefined;
  #isDraining = false;
  /** Whoever ends from now on comes back at once. */
  #isHealed = false;

  constructor(options: SimHostOptions) {
    this.name = options.machine.name;
    this.machine = options.machine;
    this.random = options.random;
    this.#options = options;
    this.#disk = new FakeDisk({ seed: options.random.below(2 ** 32) });
  }

  /** Nothing of it survives the end of its process. */
  abstract get isMemoryOnly(): boolean;
  /** Begins the node that runs here; there is a coordinator. */
  protected abstract serve(running: HostProcess, coordinator: EtcdCoordinator): void;
  /** The process has ended. */
  protected abstract ended(): void;
  /** What was stored counts no more. */
  protected abstract destroyed(): void;

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
    const wire = new EtcdWire(machine, network, events, this.random);
    const links = new PeerLinks({
      ...{ self: machine, network, random: this.random },
      peer: (nodeId) => cluster.servers.find(({ name }) => name === nodeId)!,
    });
    const files = new SimFiles(machine, this.#disk, this.random);
    const running: HostProcess = { wire, links, files, disk: this.#disk, parts: new AsyncDisposableStack() };
    this.#running = running;
    this.#applyTrouble();
    machine.post(0, () => void this.#open(running));
  }

  /** Ends the process at once. */
  crash(how: Ending): void {
    const running = this.#running;
    if (!running) return;
    this.#running = undefined;
    this.ended();
    this.machine.stop();
    running.links.abandon();
    if (how === 'destroy') {
      // Else what it had on its way to etcd could make others rely on what is gone, see docs/replication.md.
      running.wire.discard();
      this.destroyed();
      this.#disk.stop();
      this.#disk = new FakeDisk({ seed: this.random.below(2 ** 32) });
    } else this.#disk = how === 'kill' ? this.#disk.kill() : this.#disk.crash();
  }

  /** Ends the process in order. */
  leave(): void {
    const running = this.#running;
    if (!running) return;
    // What it has in memory counts no more from now on.
    if (this.isMemoryOnly) this.destroyed();
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

  /** Makes a topic, however often it takes. */
  makeTopic(topic: NewTopic): void {
    const attempt = (): void => {
      const coordinator = this.#running?.coordinator;
      if (coordinator?.topic(topic.name)) return;
      coordinator?.createTopic(topic).catch(() => undefined);
      this.machine.clock.setTimer(RETRY_MS, attempt);
    };
    attempt();
  }

  /** @throws UNAVAILABLE while it starts */
  protected get coordinator(): EtcdCoordinator {
    const coordinator = this.#running?.coordinator;
    if (!coordinator) throw new SluiceError('UNAVAILABLE', `${this.name} is starting`);
    return coordinator;
  }

  /** Whether etcd has this process as a member, as if that could be seen. */
  protected get isMember(): boolean {
    return this.#options.etcd.json(`/sluice/${CLUSTER}/nodes/${this.name}`) !== undefined;
  }

  #applyTrouble(): void {
    if (!this.#running) return;
    this.#running.wire.lagMs = this.#watchLagMs;
    this.#running.files.slowness = this.#diskSlowness;
  }

  /** Opens everything as the composition root does; again after a while when etcd does not answer. */
  async #open(running: HostProcess): Promise<void> {
    const { machine } = this;
    const { etcd, zone } = this.#options;
    const { clock } = machine;
    const random = this.random;
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
    this.serve(running, running.coordinator);
  }
}
