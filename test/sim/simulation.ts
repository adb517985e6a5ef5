import { FakeEtcd } from '../support/fake-etcd.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { Checker } from './checker.ts';
import { Committed } from './committed.ts';
import { ETCD } from './etcd-wire.ts';
import { EventQueue } from './event-queue.ts';
import { Machine } from './machine.ts';
import { Nemesis } from './nemesis.ts';
import { Network } from './network.ts';
import type { SimOptions, SimPlan } from './plan.ts';
import { planFor } from './plan.ts';
import { SimProducer, promiseOf } from './producer.ts';
import type { SimCluster } from './sim-cluster.ts';
import { settle } from './settle.ts';
import { SimNode } from './sim-node.ts';
import { SimSubscriber } from './subscriber.ts';
import { Violation } from './violation.ts';

/** How a run is looked at. */
export interface SimView {
  /** Told of what happens, for replays. */
  readonly trace?: ((line: string) => void) | undefined;
}

/** How a run went. */
export interface SimResult {
  readonly seed: number;
  /** What broke; undefined: nothing. */
  readonly failure: Error | undefined;
  /** Things that happened. */
  readonly steps: number;
  /** Batches that were acknowledged to producers. */
  readonly acknowledged: number;
  /** Epochs that were led. */
  readonly epochs: number;
}

const START_MS = 60_000;
const CONVERGE_MS = 90_000;

/** A cluster, its clients and its faults, all from one seed. */
export class Simulation implements SimCluster {
  readonly events = new EventQueue();
  readonly network: Network;
  readonly checker: Checker;
  readonly servers: readonly SimNode[];
  readonly #seed: number;
  readonly #plan: SimPlan;
  readonly #view: SimView;
  readonly #etcd: FakeEtcd;
  readonly #producers: readonly SimProducer[];
  readonly #subscribers: readonly SimSubscriber[];
  readonly #nemesis: Nemesis;
  readonly #touched = new Set<string>();
  #failure: Error | undefined;
  #steps = 0;

  constructor(options: SimOptions, view: SimView = {}) {
    const random = new SeededRandom(options.seed);
    const own = (): SeededRandom => new SeededRandom(random.below(2 ** 32));
    this.#seed = options.seed;
    this.#view = view;
    this.#plan = planFor(options, own());
    const { nodes, producers, subscribers, partitions } = this.#plan;
    this.network = new Network(this.events, own());
    this.#etcd = new FakeEtcd(new Machine(ETCD, this.events, own()).clock);
    const { settings } = this.#plan;
    const promises = new Map(
      producers.map((one) => [one.name, promiseOf(one, settings.retentionRecords === 0)]),
    );
    this.checker = new Checker(
      Array.from({ length: partitions }, (_, index) => new Committed(`p${index}`, promises)),
      settings,
    );
    const machine = (name: string, rate = 1): Machine => new Machine(name, this.events, own(), rate);
    this.servers = nodes.map(({ name, zone, clockRate }) => {
      const one = machine(name, clockRate);
      one.onTouched = () => this.#touched.add(name);
      return new SimNode({
        machine: one,
        zone,
        events: this.events,
        random: own(),
        cluster: this,
        etcd: this.#etcd,
        plan: this.#plan,
      });
    });
    this.#producers = producers.map(
      (plan) => new SimProducer(plan, promises.get(plan.name)!, this, machine(plan.name), own()),
    );
    this.#subscribers = subscribers.map(
      ({ name, partition }) => new SimSubscriber(name, partition, this, machine(name), own()),
    );
    this.#nemesis = new Nemesis(this.#target(), own(), options.faults);
    this.#watchStates();
  }

  /** Runs from start to end. Never throws. */
  async run(): Promise<SimResult> {
    // Errors are part of the work here; where they come from is told by a replay.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = this.#view.trace ? 20 : 0;
    const onRejected = (error: unknown): void => this.fail(error);
    process.on('unhandledRejection', onRejected);
    try {
      await this.#runAll();
    } catch (error) {
      this.fail(error);
    }
    // Node tells of rejections nobody handles only in a turn of its own.
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', onRejected);
    Error.stackTraceLimit = stackTraceLimit;
    const acknowledged = this.#producers.reduce((sum, one) => sum + one.acknowledged, 0);
    return {
      seed: this.#seed,
      failure: this.#failure,
      steps: this.#steps,
      acknowledged,
      epochs: this.checker.epochs,
    };
  }

  trace(text: () => string): void {
    this.#view.trace?.(`${this.events.nowMs.toFixed(1).padStart(9)} ${text()}`);
  }

  fail(error: unknown): void {
    this.#failure ??= error instanceof Error ? error : new Error(String(error));
  }

  async #runAll(): Promise<void> {
    // From here on in a microtask, see settle.
    await Promise.resolve();
    for (const node of this.servers) node.start();
    this.servers[0]!.createTopic();
    await this.#until('the topic is led', START_MS, () => this.#isLed());
    for (const client of [...this.#producers, ...this.#subscribers]) client.start();
    this.#nemesis.start(this.#plan.chaosMs);
    const chaosEndMs = this.events.nowMs + this.#plan.chaosMs;
    while (await this.#step(chaosEndMs));
    this.#nemesis.heal();
    for (const producer of this.#producers) producer.stop();
    await this.#until('everything comes to rest', CONVERGE_MS, () => this.#hasConverged());
  }

  async #until(what: string, withinMs: number, isDone: () => boolean): Promise<void> {
    const endMs = this.events.nowMs + withinMs;
    while (await this.#step(endMs)) if (this.#steps % 16 === 0 && isDone()) return;
    if (!isDone()) throw new Violation('liveness', `not before ${withinMs} ms: ${what}; ${this.#describe()}`);
  }

  /** One thing happens, with all that follows from it at once; then everything is looked at. */
  async #step(endMs: number): Promise<boolean> {
    if (!this.events.step(endMs)) return false;
    this.#steps++;
    await settle();
    if (this.#failure) throw this.#failure;
    for (const name of this.#touched) this.checker.look(name);
    this.#touched.clear();
    return true;
  }

  #isLed(): boolean {
    return this.#states().every((state) => state !== undefined && state.leaderEpoch > 0);
  }

  #states(): ReturnType<Checker['state']>[] {
    return Array.from({ length: this.#plan.partitions }, (_, index) => this.checker.state(index));
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

  #describe(): string {
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
      setEtcd: (isUp) => this.#setEtcd(isUp),
      compactEtcd: () => this.#etcd.compact(),
      trace: (text) => this.trace(text),
    };
  }

  #setEtcd(isUp: boolean): void {
    if (isUp) {
      this.network.reopen(ETCD);
      this.#etcd.resume();
    } else {
      this.network.close(ETCD);
      this.#etcd.suspend();
    }
  }

  #watchStates(): void {
    this.#etcd.watch((events) => {
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
