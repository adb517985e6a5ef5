import { Checker } from './checker.ts';
import { Committed } from './committed.ts';
import { SimEraser } from './eraser.ts';
import { Nemesis } from './nemesis.ts';
import type { SimOptions, SimPlan } from './plan.ts';
import { planFor } from './plan.ts';
import { SimProducer, promiseOf } from './producer.ts';
import type { SimCluster } from './sim-cluster.ts';
import { SimNode } from './sim-node.ts';
import type { RunResult, SimView } from './sim-run.ts';
import { SimRun } from './sim-run.ts';
import { SimSubscriber } from './subscriber.ts';

/** How a run went. */
export interface SimResult extends RunResult {
  /** Batches that were acknowledged to producers. */
  readonly acknowledged: number;
  /** Epochs that were led. */
  readonly epochs: number;
}

const START_MS = 60_000;
const CONVERGE_MS = 90_000;

/** A cluster, its clients and its faults, all from one seed. */
export class Simulation extends SimRun<SimPlan> implements SimCluster {
  readonly checker: Checker;
  readonly servers: readonly SimNode[];
  readonly #producers: readonly SimProducer[];
  readonly #subscribers: readonly SimSubscriber[];
  readonly #nemesis: Nemesis;
  readonly #erasers: readonly SimEraser[];

  constructor(options: SimOptions, view: SimView = {}) {
    super(options.seed, view, (random) => planFor(options, random));
    const { nodes, producers, subscribers, partitions, settings } = this.plan;
    const promises = new Map(
      producers.map((one) => [one.name, promiseOf(one, settings.retentionRecords === 0)]),
    );
    this.checker = new Checker(
      Array.from({ length: partitions }, (_, index) => new Committed(`p${index}`, promises)),
      settings,
    );
    this.servers = nodes.map(
      ({ name, zone, clockRate }) =>
        new SimNode({
          machine: this.watchedMachine(name, clockRate),
          zone,
          events: this.events,
          random: this.own(),
          cluster: this,
          etcd: this.etcd,
          plan: this.plan,
        }),
    );
    this.#producers = producers.map(
      (plan) => new SimProducer(plan, promises.get(plan.name)!, this, this.machine(plan.name), this.own()),
    );
    this.#subscribers = subscribers.map(
      ({ name, partition }) => new SimSubscriber(name, partition, this, this.machine(name), this.own()),
    );
    this.#nemesis = new Nemesis(this.#target(), this.own(), options.faults);
    this.#erasers = Array.from(
      { length: this.plan.erases ? partitions : 0 },
      (_, index) => new SimEraser(index, this, this.machine(`e${index}`), this.own()),
    );
    this.#watchStates();
  }

  /** Runs from start to end. Never throws. */
  async run(): Promise<SimResult> {
    const result = await this.runToEnd();
    const acknowledged = this.#producers.reduce((sum, one) => sum + one.acknowledged, 0);
    return { ...result, acknowledged, epochs: this.checker.epochs };
  }

  protected async runAll(): Promise<void> {
    for (const node of this.servers) node.start();
    this.servers[0]!.createTopic();
    await this.until('the topic is led', START_MS, () => this.#isLed());
    for (const client of [...this.#producers, ...this.#subscribers, ...this.#erasers]) client.start();
    this.#nemesis.start(this.plan.chaosMs);
    const chaosEndMs = this.events.nowMs + this.plan.chaosMs;
    while (await this.step(chaosEndMs));
    this.#nemesis.heal();
    for (const client of [...this.#producers, ...this.#erasers]) client.stop();
    await this.until('everything comes to rest', CONVERGE_MS, () => this.#hasConverged());
  }

  protected look(machine: string): void {
    this.checker.look(machine);
  }

  #isLed(): boolean {
    return this.#states().every((state) => state !== undefined && state.leaderEpoch > 0);
  }

  #states(): ReturnType<Checker['state']>[] {
    return Array.from({ length: this.plan.partitions }, (_, index) => this.checker.state(index));
  }

  /** All copies are in sync and the same, and nobody waits for anything. */
  #hasConverged(): boolean {
    return (
      this.#producers.every(({ isIdle }) => isIdle) &&
      this.#states().every((state, index) => this.#isWhole(state, index)) &&
      this.#subscribers.every(
        ({ partition, nextOffset }) => nextOffset >= this.checker.committed(partition).end,
      )
    );
  }

  #isWhole(state: ReturnType<Checker['state']>, partition: number): boolean {
    if (!state || state.isr.length !== state.replicas.length || state.leader === null) return false;
    const { end } = this.checker.committed(partition);
    return state.replicas.every((nodeId) => {
      const replica = this.checker.replica(nodeId, partition);
      return replica?.object.highWatermark === end && replica.log.logEnd === end;
    });
  }

  protected describe(): string {
    const states = this.#states().map((state, index) => {
      const copies = this.servers.map((node) => {
        const replica = this.checker.replica(node.name, index);
        if (!replica) return `${node.name} -`;
        const { object, log } = replica;
        return `${node.name} ${object.role} e${object.leaderEpoch} ${log.logStart}..${object.highWatermark}/${log.durableEnd}/${log.logEnd}`;
      });
      return `p${index} ${JSON.stringify(state)} committed ${this.checker.committed(index).end}: ${copies.join(', ')}`;
    });
    const readers = this.#subscribers.map(({ name, nextOffset }) => `${name} ${nextOffset}`);
    const writers = this.#producers.filter(({ isIdle }) => !isIdle).map(({ plan }) => plan.name);
    return `${states.join('; ')}; readers ${readers.join(' ')}; waiting ${writers.join(' ')}`;
  }

  #target(): ConstructorParameters<typeof Nemesis>[0] {
    return {
      events: this.events,
      network: this.network,
      nodes: this.servers,
      checker: this.checker,
      clients: [
        ...this.#producers.map(({ plan }) => plan.name),
        ...this.#subscribers.map(({ name }) => name),
      ],
      setEtcd: (isUp) => this.setEtcd(isUp),
      compactEtcd: () => this.etcd.compact(),
      trace: (text) => this.trace(text),
    };
  }

  #watchStates(): void {
    this.etcd.watch((events) => {
      for (const { kv } of events) {
        const found = /\/partitions\/[^/]+\/(\d+)$/.exec(kv.key.toString());
        if (!found || kv.value.length === 0) continue;
        const state = JSON.parse(kv.value.toString()) as NonNullable<ReturnType<Checker['state']>>;
        this.trace(
          () =>
            `etcd: p${found[1]!} leader ${state.leader ?? '-'} epoch ${state.leaderEpoch} isr ${state.isr.join(',')}`,
        );
        try {
          this.checker.stateChanged(Number(found[1]), state);
        } catch (error) {
          this.fail(error);
        }
      }
    });
  }
}

/** Runs one seed. */
export function simulate(options: SimOptions, view: SimView = {}): Promise<SimResult> {
  return new Simulation(options, view).run();
}
