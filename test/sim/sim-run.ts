import { FakeEtcd } from '../support/fake-etcd.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { ETCD, setEtcd } from './etcd-wire.ts';
import { EventQueue } from './event-queue.ts';
import { Immediates } from './immediates.ts';
import { Machine } from './machine.ts';
import { Network } from './network.ts';
import { Violation } from './violation.ts';

/** How a run is looked at. */
export interface SimView {
  /** Told of what happens, for replays. */
  readonly trace?: ((line: string) => void) | undefined;
}

/** How a run went, whatever it is about. */
export interface RunResult {
  readonly seed: number;
  /** What broke; undefined: nothing. */
  readonly failure: Error | undefined;
  /** Things that happened. */
  readonly steps: number;
}

/** Time, network and etcd of one simulated cluster, and the loop in which everything happens. */
export abstract class SimRun<Plan> {
  readonly events = new EventQueue();
  readonly network: Network;
  protected readonly random: SeededRandom;
  protected readonly plan: Plan;
  protected readonly etcd: FakeEtcd;
  readonly #seed: number;
  readonly #view: SimView;
  readonly #immediates = new Immediates();
  readonly #touched = new Set<string>();
  #failure: Error | undefined;
  #steps = 0;

  constructor(seed: number, view: SimView, makePlan: (random: SeededRandom) => Plan) {
    this.#seed = seed;
    this.#view = view;
    this.random = new SeededRandom(seed);
    this.plan = makePlan(this.own());
    this.network = new Network(this.events, this.own());
    this.etcd = new FakeEtcd(this.machine(ETCD).clock);
  }

  /** All that happens, up to its end. */
  protected abstract runAll(): Promise<void>;
  /** Something has happened to a machine. */
  protected abstract look(machine: string): void;
  /** How everything is, for people. */
  protected abstract describe(): string;

  trace(text: () => string): void {
    this.#view.trace?.(`${this.events.nowMs.toFixed(1).padStart(9)} ${text()}`);
  }

  fail(error: unknown): void {
    this.#failure ??= error instanceof Error ? error : new Error(String(error));
  }

  /** Never throws. */
  protected async runToEnd(): Promise<RunResult> {
    // Errors are part of the work here; where they come from is told by a replay.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = this.#view.trace ? 20 : 0;
    const onRejected = (error: unknown): void => this.fail(error);
    process.on('unhandledRejection', onRejected);
    const restore = this.#immediates.install();
    try {
      // From here on in a microtask, see settle.
      await Promise.resolve();
      await this.runAll();
    } catch (error) {
      this.fail(error);
    }
    restore();
    // Node tells of rejections nobody handles only in a turn of its own.
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', onRejected);
    Error.stackTraceLimit = stackTraceLimit;
    return { seed: this.#seed, failure: this.#failure, steps: this.#steps };
  }

  /** Another source of randomness. */
  protected own(): SeededRandom {
    return new SeededRandom(this.random.below(2 ** 32));
  }

  protected machine(name: string, rate = 1): Machine {
    return new Machine(name, this.events, this.own(), rate);
  }

  /** A machine of which is looked at what happens to it. */
  protected watchedMachine(name: string, rate: number): Machine {
    const one = this.machine(name, rate);
    one.onTouched = () => this.#touched.add(name);
    return one;
  }

  protected async until(what: string, withinMs: number, isDone: () => boolean): Promise<void> {
    const endMs = this.events.nowMs + withinMs;
    while (await this.step(endMs)) if (this.#steps % 16 === 0 && isDone()) return;
    if (!isDone()) throw new Violation('liveness', `not before ${withinMs} ms: ${what}; ${this.describe()}`);
  }

  /** One thing happens, with all that follows from it at once; then everything is looked at. @returns false: nothing up to `endMs` */
  protected async step(endMs: number): Promise<boolean> {
    if (!this.events.step(endMs)) return false;
    this.#steps++;
    await this.#immediates.settle();
    if (this.#failure) throw this.#failure;
    for (const name of this.#touched) this.look(name);
    this.#touched.clear();
    return true;
  }

  protected setEtcd(isUp: boolean): void {
    setEtcd(this.etcd, this.network, isUp);
  }
}
