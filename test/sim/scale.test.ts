/** Ten thousand partitions on five nodes: placed, led, and led again when a node is gone. */
import { describe, expect, it } from 'vitest';
import type { PartitionState } from '../../src/coordination/cluster.ts';
import { FakeEtcd } from '../support/fake-etcd.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { EventQueue } from './event-queue.ts';
import { Machine } from './machine.ts';
import { Network } from './network.ts';
import { planFor } from './plan.ts';
import type { SimNodeCluster } from './sim-node.ts';
import { SimNode } from './sim-node.ts';
import { settle } from './settle.ts';

const PARTITIONS = 10_000;
const NODES = 5;
const PARTITION_KEY = /\/partitions\/[^/]+\/(\d+)$/;

/** A cluster that nobody troubles and nobody looks at too closely. */
class ScaleStage implements SimNodeCluster {
  readonly events = new EventQueue();
  readonly network: Network;
  readonly servers: readonly SimNode[];
  readonly states = new Map<number, PartitionState>();
  /** Copies that are open, by node. */
  readonly copies = new Map<string, number>();
  readonly checker: SimNodeCluster['checker'];
  readonly #random = new SeededRandom(1);
  #failure: unknown;

  constructor() {
    const own = (): SeededRandom => new SeededRandom(this.#random.below(2 ** 32));
    this.network = new Network(this.events, own());
    const etcd = new FakeEtcd(new Machine('etcd', this.events, own()).clock);
    const plan = planFor({ seed: 1, nodes: NODES }, own());
    const settings = { ...plan.settings, storage: 'memory', replicationFactor: 3, minInsync: 2 } as const;
    this.servers = plan.nodes.map(
      ({ name, zone, clockRate }) =>
        new SimNode({
          ...{ machine: new Machine(name, this.events, own(), clockRate), zone, etcd },
          ...{ events: this.events, random: own(), cluster: this },
          plan: { settings, partitions: PARTITIONS, maxLagMs: 10_000, policy: {} },
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
    for (let step = 0; this.events.step(startMs + withinMs); step++) {
      await settle();
      if (this.#failure !== undefined) throw this.#failure as Error;
      if (step % 500 === 0 && isDone()) return this.events.nowMs - startMs;
    }
    throw new Error(`not within ${withinMs} ms`);
  }

  ledBy(nodeId: string): number {
    return [...this.states.values()].filter(({ leader }) => leader === nodeId).length;
  }

  /** Whether each partition has been claimed by its leader. @param epochs that there were before */
  isLed(except: string | undefined, epochs: ReadonlyMap<number, number>): boolean {
    if (this.states.size < PARTITIONS) return false;
    for (const [partition, { leader, leaderEpoch }] of this.states) {
      if (leader === null || leader === except || leaderEpoch <= (epochs.get(partition) ?? 0)) return false;
    }
    return true;
  }
}

describe('ten thousand partitions on five nodes', () => {
  it('are placed evenly, and led by others when a node is gone', { timeout: 120_000 }, async () => {
    const stage = new ScaleStage();
    await Promise.resolve();
    for (const node of stage.servers) node.start();
    stage.servers[0]!.createTopic();
    const placedMs = await stage.until(() => stage.isLed(undefined, new Map()), 120_000);
    await stage.until(
      () => [...stage.copies.values()].reduce((sum, one) => sum + one, 0) === 3 * PARTITIONS,
      60_000,
    );
    const led = stage.servers.map(({ name }) => stage.ledBy(name));
    expect(Math.min(...led)).toBeGreaterThan((0.7 * PARTITIONS) / NODES);
    expect(Math.max(...led)).toBeLessThan((1.3 * PARTITIONS) / NODES);

    const [gone] = stage.servers;
    const epochs = new Map(
      [...stage.states]
        .filter(([, { leader }]) => leader === gone!.name)
        .map(([id, { leaderEpoch }]) => [id, leaderEpoch]),
    );
    gone!.crash('destroy');
    const movedMs = await stage.until(() => stage.isLed(gone!.name, epochs), 60_000);
    expect(epochs.size).toBe(led[0]);
    console.log(
      `placed in ${placedMs.toFixed(0)} ms, ${epochs.size} moved in ${movedMs.toFixed(0)} ms of simulated time`,
    );
  });
});
