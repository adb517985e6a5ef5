import type { SeededRandom } from '../support/seeded-random.ts';
import type { Checker } from './checker.ts';
import { ETCD } from './etcd-wire.ts';
import type { EventQueue } from './event-queue.ts';
import type { Network } from './network.ts';
import type { SimHost } from './sim-host.ts';

/** What faults happen to. */
export interface NemesisTarget {
  readonly events: EventQueue;
  readonly network: Network;
  readonly nodes: readonly SimHost[];
  readonly checker: Pick<Checker, 'leads' | 'mayDestroy'>;
  /** Names of machines that are no nodes and talk to them. */
  readonly clients: readonly string[];
  /** Ends etcd, or begins it again with everything it had. */
  setEtcd(isUp: boolean): void;
  /** By how much clocks are set; default: up to an hour. */
  readonly clockJumpsMs?: readonly number[] | undefined;
  compactEtcd(): void;
  trace(text: () => string): void;
}

/** Kinds of trouble. */
export const FAULTS = [
  'crash',
  'destroy',
  'leave',
  'freeze',
  'cut',
  'isolate',
  'cut from etcd',
  'weather',
  'etcd down',
  'watch',
  'clock',
  'peers',
  'slow disk',
  'failing disk',
  'drain',
] as const;

export type Fault = (typeof FAULTS)[number];

const CLOCK_JUMPS_MS = [-3_600_000, -5000, 5000, 3_600_000];
/** Longest that one fault lasts, milliseconds: well above a lease. */
const LONGEST_MS = 5000;

/** Draws faults from a seed, one after the other, several at a time, with quiet between them. */
export class Nemesis {
  readonly #target: NemesisTarget;
  readonly #random: SeededRandom;
  readonly #faults: readonly Fault[];
  readonly #cause: Readonly<Record<Fault, () => string | undefined>> = {
    crash: () => this.#crash(false),
    destroy: () => this.#crash(true),
    leave: () => this.#leave(),
    freeze: () => this.#freeze(),
    cut: () => this.#cutPair(),
    isolate: () => this.#isolate(),
    'cut from etcd': () => this.#cutFromEtcd(),
    weather: () => this.#weather(),
    'etcd down': () => this.#etcdOutage(),
    watch: () => this.#watchTrouble(),
    clock: () => this.#jump(),
    peers: () => this.#breakPeers(),
    'slow disk': () => this.#slowDisk(),
    'failing disk': () => this.#failDisk(),
    drain: () => this.#drain(),
  };
  #isOver = false;

  /** @param faults kinds there are; undefined: each seed has some, so that some have many of few kinds and some a few of many */
  constructor(target: NemesisTarget, random: SeededRandom, faults?: readonly Fault[]) {
    this.#target = target;
    this.#random = random;
    this.#faults = faults ?? FAULTS.filter(() => random.chance(0.6));
  }

  /** @param chaosMs for how long, from now */
  start(chaosMs: number): void {
    const { events } = this.#target;
    const endMs = events.nowMs + chaosMs;
    const next = (): void => {
      if (this.#isOver || events.nowMs >= endMs || this.#faults.length === 0) return;
      const what = this.#cause[this.#random.pick(this.#faults)]();
      if (what !== undefined) this.#target.trace(() => `fault: ${what}`);
      const quiet = this.#random.chance(0.1) ? 3000 : 0;
      events.after(quiet + this.#random.between(50, 1000), next);
    };
    events.after(this.#random.between(100, 1500), next);
  }

  /** Undoes everything: all machines run, all links are whole. */
  heal(): void {
    this.#isOver = true;
    const { network, nodes } = this.#target;
    network.heal();
    this.#target.setEtcd(true);
    for (const node of nodes) node.heal();
    this.#target.trace(() => 'healed');
  }

  /** Does something, and undoes it after a while. */
  #forAWhile(undo: () => void, longestMs = LONGEST_MS): number {
    const ms = this.#random.between(50, this.#random.chance(0.5) ? longestMs / 5 : longestMs);
    this.#target.events.after(ms, () => {
      if (!this.#isOver) undo();
    });
    return ms;
  }

  /** Who leads is hit more often than others. */
  #node(): SimHost {
    const { nodes, checker } = this.#target;
    const leaders = nodes.filter(({ name }) => checker.leads(name));
    return this.#random.pick(leaders.length > 0 && this.#random.chance(0.4) ? leaders : nodes);
  }

  #crash(loseDisk: boolean): string | undefined {
    const node = this.#node();
    if (!node.machine.isUp) return undefined;
    const destroys = loseDisk || node.isMemoryOnly;
    if (destroys && !this.#target.checker.mayDestroy(node.name)) return undefined;
    const how = destroys ? 'destroy' : this.#random.pick(['kill', 'power'] as const);
    node.crash(how);
    const ms = this.#forAWhile(() => node.start());
    return `${node.name} ${how} for ${ms}`;
  }

  #leave(): string | undefined {
    const node = this.#node();
    if (!node.machine.isRunning) return undefined;
    if (node.isMemoryOnly && !this.#target.checker.mayDestroy(node.name)) return undefined;
    node.leave();
    const ms = this.#forAWhile(() => {
      node.crash(node.isMemoryOnly ? 'destroy' : 'kill');
      node.start();
    });
    return `${node.name} leaves for ${ms}`;
  }

  #freeze(): string | undefined {
    const node = this.#node();
    if (!node.machine.isRunning) return undefined;
    node.machine.freeze();
    // Often just longer than a lease lasts.
    const ms = this.#forAWhile(() => node.machine.thaw(), this.#random.pick([LONGEST_MS, 2.5 * LONGEST_MS]));
    return `${node.name} frozen for ${ms}`;
  }

  #cutPair(): string {
    const { network, nodes, clients } = this.#target;
    const from = this.#node().name;
    const to = this.#random.pick(
      [...nodes.map(({ name }) => name), ...clients].filter((one) => one !== from),
    );
    const oneWay = this.#random.chance(0.5);
    network.cut(from, to);
    if (!oneWay) network.cut(to, from);
    const ms = this.#forAWhile(() => network.join(from, to));
    return `cut ${from}${oneWay ? '>' : '<>'}${to} for ${ms}`;
  }

  /** From all other nodes, but not from etcd nor from clients. */
  #isolate(): string {
    const { network, nodes } = this.#target;
    const node = this.#node();
    const others = nodes.filter((one) => one !== node);
    const outwards = this.#random.chance(0.7);
    const inwards = !outwards || this.#random.chance(0.7);
    for (const { name } of others) {
      if (outwards) network.cut(node.name, name);
      if (inwards) network.cut(name, node.name);
    }
    const ms = this.#forAWhile(() => {
      for (const { name } of others) network.join(node.name, name);
    });
    return `${node.name} isolated${outwards ? ' outwards' : ''}${inwards ? ' inwards' : ''} for ${ms}`;
  }

  #cutFromEtcd(): string {
    const { network } = this.#target;
    const node = this.#node();
    const oneWay = this.#random.chance(0.3);
    if (oneWay && this.#random.chance(0.5)) network.cut(ETCD, node.name);
    else network.cut(node.name, ETCD);
    if (!oneWay) network.cut(ETCD, node.name);
    const ms = this.#forAWhile(() => network.join(node.name, ETCD));
    return `${node.name} cut from etcd${oneWay ? ' one way' : ''} for ${ms}`;
  }

  #weather(): string {
    const { network } = this.#target;
    network.weather = {
      lossShare: this.#random.pick([0, 0.005, 0.03]),
      slowShare: this.#random.pick([0.05, 0.3]),
      slowMs: this.#random.pick([50, 800]),
    };
    const ms = this.#forAWhile(() => network.calm());
    return `weather ${JSON.stringify(network.weather)} for ${ms}`;
  }

  #etcdOutage(): string {
    this.#target.setEtcd(false);
    const ms = this.#forAWhile(() => this.#target.setEtcd(true));
    return `etcd down for ${ms}`;
  }

  #watchTrouble(): string {
    const node = this.#node();
    if (this.#random.chance(0.3)) {
      if (this.#random.chance(0.5)) this.#target.compactEtcd();
      node.wire?.breakWatch();
      return `watch of ${node.name} broken`;
    }
    node.setWatchLag(this.#random.between(100, 3000));
    const ms = this.#forAWhile(() => node.setWatchLag(0));
    return `watch of ${node.name} lags for ${ms}`;
  }

  #jump(): string {
    const node = this.#node();
    const ms = this.#random.pick(this.#target.clockJumpsMs ?? CLOCK_JUMPS_MS);
    node.machine.jump(ms);
    return `clock of ${node.name} jumps by ${ms}`;
  }

  #breakPeers(): string {
    const node = this.#node();
    const other = this.#node();
    if (node !== other) node.links?.breakOff(other.name);
    return `stream ${node.name}>${other.name} breaks`;
  }

  #slowDisk(): string {
    const node = this.#node();
    node.setDiskSlowness(this.#random.pick([30, 300, 3000]));
    const ms = this.#forAWhile(() => node.setDiskSlowness(1));
    return `disk of ${node.name} slow for ${ms}`;
  }

  #failDisk(): string {
    const node = this.#node();
    const code = this.#random.pick(['EIO', 'ENOSPC']);
    const undo = node.failDisk(code);
    const ms = this.#forAWhile(undo, LONGEST_MS / 2);
    return `disk of ${node.name} fails with ${code} for ${ms}`;
  }

  #drain(): string {
    const node = this.#node();
    node.drain(true);
    const ms = this.#forAWhile(() => node.drain(false));
    return `${node.name} drains for ${ms}`;
  }
}
