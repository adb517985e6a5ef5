import type { Machine } from './machine.ts';
import type { SimCluster } from './sim-cluster.ts';
import type { SeededRandom } from '../support/seeded-random.ts';

const CALL_TIMEOUT_MS = 9000;
const INTERVAL_MS = 1500;

/** An administrator who deletes the oldest records of one partition at times: whole batches, as the checker compares them. */
export class SimEraser {
  readonly #partition: number;
  readonly #cluster: SimCluster;
  readonly #machine: Machine;
  readonly #random: SeededRandom;
  #isStopped = false;

  constructor(partition: number, cluster: SimCluster, machine: Machine, random: SeededRandom) {
    this.#partition = partition;
    this.#cluster = cluster;
    this.#machine = machine;
    this.#random = random;
  }

  start(): void {
    this.#machine.clock.setTimer(INTERVAL_MS * (0.5 + this.#random.fraction()), () => {
      if (this.#isStopped) return;
      this.start();
      this.#erase().catch((error: unknown) => this.#cluster.fail(error));
    });
  }

  /** Asks for nothing more. */
  stop(): void {
    this.#isStopped = true;
  }

  async #erase(): Promise<void> {
    const { checker, network, servers } = this.#cluster;
    const committed = checker.committed(this.#partition);
    const { baseOffset: offset } =
      committed.at(committed.indexOf(committed.end - this.#random.below(30))) ?? {};
    if (offset === undefined) return;
    checker.erasing(this.#partition, offset);
    const leader = servers.find(({ name }) => name === checker.state(this.#partition)?.leader);
    if (!leader) return;
    const ask = (): Promise<void> => leader.erase(this.#partition, offset);
    const isErased = await network.call(this.#machine, leader.machine, CALL_TIMEOUT_MS, ask).then(
      () => true,
      () => false,
    );
    if (isErased) checker.erased(this.#partition, offset);
  }
}
