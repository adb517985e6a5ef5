import type { SeededRandom } from '../../support/seeded-random.ts';
import type { EventQueue } from '../event-queue.ts';
import type { Machine } from '../machine.ts';

/** A client whose process can end and begin anew. */
export interface FragileClient {
  readonly name: string;
  readonly machine: Machine;
  start(): void;
  crash(): void;
  /** Does nothing out of the ordinary from now on. */
  calm(): void;
}

const EVERY_MS = 900;
/** Longer than sessions and leases last. */
const LONGEST_MS = 5000;

/** Freezes and ends clients: some wake as zombies, some come back as others. */
export class ClientTrouble {
  readonly #clients: readonly FragileClient[];
  readonly #events: EventQueue;
  readonly #random: SeededRandom;
  readonly #trace: (text: () => string) => void;
  #isOver = false;

  constructor(
    clients: readonly FragileClient[],
    events: EventQueue,
    random: SeededRandom,
    trace: (text: () => string) => void,
  ) {
    this.#clients = clients;
    this.#events = events;
    this.#random = random;
    this.#trace = trace;
  }

  start(): void {
    this.#events.after(2 * EVERY_MS * this.#random.fraction(), () => {
      if (this.#isOver) return;
      this.#hit(this.#random.pick(this.#clients));
      this.start();
    });
  }

  /** All clients run, and stay calm. */
  heal(): void {
    this.#isOver = true;
    for (const client of this.#clients) {
      client.machine.thaw();
      if (!client.machine.isUp) this.#restart(client);
      client.calm();
    }
  }

  #hit(client: FragileClient): void {
    const { machine, name } = client;
    if (!machine.isRunning) return;
    const isCrash = this.#random.chance(0.4);
    const ms = this.#random.between(100, this.#random.chance(0.5) ? LONGEST_MS / 4 : LONGEST_MS);
    this.#trace(() => `fault: ${name} ${isCrash ? 'ends' : 'frozen'} for ${ms}`);
    if (isCrash) client.crash();
    else machine.freeze();
    this.#events.after(ms, () => {
      if (this.#isOver) return;
      if (isCrash) this.#restart(client);
      else machine.thaw();
    });
  }

  #restart(client: FragileClient): void {
    client.machine.start();
    client.start();
  }
}
