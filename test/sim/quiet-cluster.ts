import type { PartitionState } from '../../src/coordination/cluster.ts';
import { FakeEtcd } from '../support/fake-etcd.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { setEtcd } from './etcd-wire.ts';
import { EventQueue } from './event-queue.ts';
import { Machine } from './machine.ts';
import type { Fault } from './nemesis.ts';
import { Nemesis } from './nemesis.ts';
import { Network } from './network.ts';
import { planFor } from './plan.ts';
import type { SimNodeCluster } from './sim-node.ts';
import { SimNode } from './sim-node.ts';
import { settle } from './settle.ts';

const PARTITION_KEY = /\/partitions\/[^/]+\/(\d+)$/;

/** What a cluster is made of. */
export interface QuietClusterOptions {
  readonly nodes: number;
  readonly partitions: number;
  /** Of the topic. Default memory. */
  readonly storage?: 'memory' | 'disk';
  /** Default 1. */
  readonly seed?: number;
}

/** A cluster with one topic, three copies of each partition, that nobody publishes to and nobody looks at too closely. */
export class QuietCluster implements SimNodeCluster {
  readonly events = new EventQueue();
  readonly network: Network;
  readonly servers: readonly SimNode[];
  readonly states = new Map<number, PartitionState>();
  /** Copies that are open, by node. */
  readonly copies = new Map<string, number>();
  readonly checker: SimNodeCluster['checker'];
  /** Of the states, so far. */
  changes = 0;
  readonly #random: SeededRandom;
  readonly #etcd: FakeEtcd;
  readonly #partitions: number;
  #failure: unknown;

  constructor({ nodes, partitions, storage = 'memory', seed = 1 }: QuietClusterOptions) {
    this.#partitions = partitions;
    this.#random = new SeededRandom(seed);
    const own = (): SeededRandom => new SeededRandom(this.#random.below(2 ** 32));
    this.network = new Network(this.events, own());
    const etcd = new FakeEtcd(new Machine('etcd', this.events, own()).clock);
    this.#etcd = etcd;
    const plan = planFor({ seed, nodes }, own());
    const kept = { storage, retentionRecords: 0, replicationFactor: 3, minInsync: 2 } as const;
    const settings = { ...plan.settings, ...kept };
    this.servers = plan.nodes.map(
      ({ name, zone, clockRate }) =>
        new SimNode({
          ...{ machine: new Machine(name, this.events, own(), clockRate), zone, etcd },
          ...{ events: this.events, random: own(), cluster: this },
          plan: { settings, partitions, maxLagMs: 10_000, policy: {} },
        }),
    );
    const count = (nodeId: string, by: number): void => {
      this.copies.set(nodeId, (this.copies.get(nodeId) ?? 0) + by);
    };
    this.checker = {
      opened: ({ nodeId }) => count(nodeId, 1),
      closed: ({ nodeId }) => count(nodeId, -1),
      ended: (nodeId) => this.copies.delete(nodeId),
      destroyed: () => undefined,
      acknowledged: () => undefined,
    };
    etcd.watch((changes) => {
      for (const { kv } of changes) {
        const found = PARTITION_KEY.exec(kv.key.toString());
        if (found && kv.value.length > 0) {
          this.changes++;
          this.states.set(Number(found[1]), JSON.parse(kv.value.toString()) as PartitionState);
        }
      }
    });
  }

  trace(): void {
    // Nobody reads it.
  }

  fail(error: unknown): void {
    this.#failure ??= error;
  }

  /** @returns milliseconds of simulated time that it took */
  async until(isDone: () => boolean, withinMs: number): Promise<number> {
    const startMs = this.events.nowMs;
    for (let step = 0; await this.#step(startMs + withinMs); step++) {
      if (step % 500 === 0 && isDone()) return this.events.nowMs - startMs;
    }
    throw new Error(`not within ${withinMs} ms`);
  }

  /** Faults of these kinds happen for so long, and are all undone. */
  async trouble(faults: readonly Fault[], ms: number): Promise<void> {
    const nemesis = new Nemesis(
      {
        ...{ events: this.events, network: this.network, nodes: this.servers, clients: [] },
        checker: { leads: () => false, mayDestroy: () => true },
        setEtcd: (isUp) => setEtcd(this.#etcd, this.network, isUp),
        compactEtcd: () => this.#etcd.compact(),
        trace: () => this.trace(),
      },
      this.#random,
      faults,
    );
    nemesis.start(ms);
    await this.pass(ms);
    nemesis.heal();
  }

  async pass(ms: number): Promise<void> {
    const endMs = this.events.nowMs + ms;
    while (await this.#step(endMs));
  }

  ledBy(nodeId: string): number {
    return [...this.states.values()].filter(({ leader }) => leader === nodeId).length;
  }

  /** Whether each partition has been claimed by its leader. @param epochs that there were before */
  isLed(except: string | undefined, epochs: ReadonlyMap<number, number>): boolean {
    if (this.states.size < this.#partitions) return false;
    for (const [partition, { leader, leaderEpoch }] of this.states) {
      if (leader === null || leader === except || leaderEpoch <= (epochs.get(partition) ?? 0)) return false;
    }
    return true;
  }

  /** Starts all nodes and makes the topic. */
  start(): void {
    for (const node of this.servers) node.start();
    this.servers[0]!.createTopic();
  }

  /** Whether all copies of all partitions are in sync. */
  get isInSync(): boolean {
    return (
      this.states.size === this.#partitions &&
      [...this.states.values()].every(({ leader, isr }) => leader !== null && isr.length === 3)
    );
  }

  /** @returns false: nothing happens up to `endMs` */
  async #step(endMs: number): Promise<boolean> {
    if (!this.events.step(endMs)) return false;
    await settle();
    if (this.#failure !== undefined) throw this.#failure as Error;
    return true;
  }
}
