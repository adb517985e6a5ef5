import type { FakeEtcd } from '../support/fake-etcd.ts';
import type { EtcdLink } from '../support/fake-etcd-store.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import type { EventQueue } from './event-queue.ts';
import type { Machine } from './machine.ts';
import type { Network } from './network.ts';

/** Name of etcd in the network. */
export const ETCD = 'etcd';

/** Ends etcd, or begins it again with everything it had. */
export function setEtcd(etcd: FakeEtcd, network: Network, isUp: boolean): void {
  if (isUp) {
    network.reopen(ETCD);
    etcd.resume();
  } else {
    network.close(ETCD);
    etcd.suspend();
  }
}

/** What lies between one process and etcd. */
export class EtcdWire implements EtcdLink {
  /** Milliseconds that watches are late beside the usual. */
  lagMs = 0;
  readonly #machine: Machine;
  readonly #network: Network;
  readonly #events: EventQueue;
  readonly #random: SeededRandom;
  readonly #process: number;
  readonly #watches = new Set<() => void>();
  #lastOrderedMs = 0;
  /** An event was lost: the stream brings nothing any more. */
  #isWatchStuck = false;
  #isDiscarded = false;

  constructor(machine: Machine, network: Network, events: EventQueue, random: SeededRandom) {
    this.#machine = machine;
    this.#network = network;
    this.#events = events;
    this.#random = random;
    this.#process = machine.process;
  }

  /** Nobody refuses: what is cut off is only silent. */
  get isUp(): boolean {
    return true;
  }

  toEtcd(run: () => void): void {
    const { name } = this.#machine;
    if (this.#network.isLost(name, ETCD)) return;
    this.#events.after(this.#network.delayMs(), () => {
      if (!this.#isDiscarded && !this.#network.isCut(name, ETCD)) run();
    });
  }

  toNode(run: () => void, ordered: boolean): void {
    // Of a process that is gone.
    if (this.#machine.process !== this.#process) return;
    const isLost = this.#network.isLost(ETCD, this.#machine.name);
    if (!ordered) {
      if (!isLost) this.#machine.post(this.#network.delayMs(), run);
      return;
    }
    if (isLost) this.#isWatchStuck = true;
    if (this.#isWatchStuck) return;
    const nowMs = this.#events.nowMs;
    this.#lastOrderedMs = Math.max(this.#lastOrderedMs, nowMs + this.#network.delayMs() + this.lagMs);
    this.#machine.post(this.#lastOrderedMs - nowMs, run);
  }

  onWatch(breakOff: () => void): () => void {
    this.#isWatchStuck = false;
    this.#watches.add(breakOff);
    return () => void this.#watches.delete(breakOff);
  }

  /** Breaks the watch, as a connection that is reset. */
  breakWatch(): void {
    this.#machine.post(this.#random.fraction(), () => {
      for (const breakOff of [...this.#watches]) breakOff();
    });
  }

  /** What is on its way to etcd does not get there: it had not left. */
  discard(): void {
    this.#isDiscarded = true;
  }
}
