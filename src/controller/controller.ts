import type { Campaign, Cluster } from '../coordination/cluster.ts';
import type { Coordinator } from '../coordination/coordinator.ts';
import type { Clock } from '../kernel/clock.ts';
import type { SluiceError } from '../kernel/errors.ts';
import { asSluiceError } from '../kernel/errors.ts';
import type { ControllerCounters } from './counters.ts';
import { newControllerCounters } from './counters.ts';
import type { PlannedUpdate } from './plan-input.ts';
import type { ControllerPolicy } from './policy.ts';
import { CONTROLLER_POLICY } from './policy.ts';
import { Reign } from './reign.ts';

/** Who is told of what a controller does; must not throw. */
export interface ControllerObserver {
  /** This node is controller now. */
  onElected(term: number): void;
  /** It is no more. */
  onLost(): void;
  /** It has changed the state of a partition. */
  onChanged(update: PlannedUpdate): void;
  /** A change failed, other than because somebody else was first; it is tried again. `update` undefined: the end of a rebalance could not be told. */
  onFailed(update: PlannedUpdate | undefined, error: SluiceError): void;
  /** The rebalance that was asked for is done. */
  onRebalanced(): void;
}

/** What a controller is made of. */
export interface ControllerOptions {
  readonly coordinator: Pick<Coordinator, 'topics' | 'watchTopics'> & {
    readonly cluster: Pick<
      Cluster,
      | 'nodes'
      | 'watchNodes'
      | 'partitionStates'
      | 'watchPartitions'
      | 'updatePartition'
      | 'campaign'
      | 'rebalancing'
    >;
  };
  readonly clock: Clock;
  /** What is to be other than {@link CONTROLLER_POLICY}. */
  readonly policy?: Partial<ControllerPolicy> | undefined;
  readonly observer?: Partial<ControllerObserver> | undefined;
}

/**
 * This node's part in controlling the cluster: it stands for controller, and while it is elected sees to it that every partition exists, is led and is
 * kept where it should be.
 *
 * Any node can ask it for something, also while there is no controller, because everything asked for is kept by the coordinator: a node that wants to hand
 * over says so in its description, a rebalance is asked for through `cluster.rebalancing`, and replicas are reassigned by writing them into the state (see
 * {@link reassigned}). A node on its own needs no controller.
 */
export class Controller implements AsyncDisposable {
  readonly counters: ControllerCounters = newControllerCounters();
  readonly #options: ControllerOptions;
  readonly #policy: ControllerPolicy;
  readonly #observer: Partial<ControllerObserver>;
  readonly #campaign: Campaign;
  readonly #unwatch: () => void;
  #reign: Reign | undefined;
  #term: number | undefined;
  #finishing: Promise<void> | undefined;

  /** Stands for controller at once. @throws TypeError when this node does already */
  constructor(options: ControllerOptions) {
    this.#options = options;
    this.#policy = { ...CONTROLLER_POLICY, ...options.policy };
    this.#observer = options.observer ?? {};
    const { cluster } = options.coordinator;
    this.#unwatch = cluster.rebalancing.watch(() => this.#reign?.wake());
    this.#campaign = cluster.campaign({
      onElected: (term) => this.#begin(term),
      onLost: () => this.#lose(),
    });
  }

  /** That of its election while this node is controller. */
  get term(): number | undefined {
    return this.#term;
  }

  /** Stops at once, and lets another node be elected. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#unwatch();
    this.#end();
    await this.#campaign.resign();
    await this.#finishing;
  }

  #begin(term: number): void {
    this.#end();
    this.#term = term;
    this.counters.elections++;
    this.#observer.onElected?.(term);
    const { coordinator, clock } = this.#options;
    this.#reign = new Reign({
      coordinator,
      clock,
      policy: this.#policy,
      term,
      counters: this.counters,
      isRebalancing: () => coordinator.cluster.rebalancing.isRequested,
      listener: {
        onChanged: (update) => this.#observer.onChanged?.(update),
        onFailed: (update, error) => this.#observer.onFailed?.(update, error),
        onBalanced: () => this.#finish(term),
      },
    });
  }

  #lose(): void {
    this.#end();
    this.#observer.onLost?.();
  }

  #end(): void {
    this.#reign?.end();
    this.#reign = undefined;
    this.#term = undefined;
  }

  /** When it fails, the next plan finds everything balanced too. */
  #finish(term: number): void {
    this.#finishing ??= this.#options.coordinator.cluster.rebalancing
      .finish(term)
      .then((isFinished) => {
        if (isFinished) this.#observer.onRebalanced?.();
      })
      .catch((error: unknown) => this.#observer.onFailed?.(undefined, asSluiceError(error)))
      .finally(() => (this.#finishing = undefined));
  }
}
