import type { ClientOptions, SystemName } from '../adapters/adapter.ts';
import type { LossyNetwork } from '../support/lossy-network.ts';
import { Worker } from '../support/processes.ts';
import { BenchServer } from '../support/servers.ts';
import type { Latency } from '../support/statistics.ts';
import { latencyOf } from '../support/statistics.ts';
import type { Order } from '../support/worker.ts';

/** Who reads what across the link; 200 records of 128 B a second are published in all. */
export interface LinkScenario {
  readonly topics: number;
  /** Connections; each one reads every topic. */
  readonly subscribers: number;
  /** Whether there is one more, in a process that stands still (SIGSTOP) while records are published. */
  readonly stall: boolean;
}

/** What the subscribers that read all the time got. */
export interface LinkSample extends Latency {
  readonly delivered: number;
  /** What had not come {@link PATIENCE_MS} after the last record was published: lost, or later than that. */
  readonly lost: number;
}

const RATE = 200;
const BYTES = 128;
/** Of each subscriber and topic; the first records meet cold code and are not counted. */
const WARM_UP_RECORDS = 100;
/** How long what is published last may take, milliseconds. */
export const PATIENCE_MS = 3_000;

/** A server and a publisher at one end of a link, a subscribing process at the other. Serves many runs. */
export class LossyLink implements AsyncDisposable {
  readonly #network: LossyNetwork;
  readonly #server: BenchServer;
  readonly #publisher: Worker;
  readonly #subscriber: Worker;
  readonly #options: ClientOptions;
  #runs = 0;

  private constructor(network: LossyNetwork, server: BenchServer, options: ClientOptions) {
    this.#network = network;
    this.#server = server;
    this.#options = options;
    this.#publisher = new Worker(network.near.name);
    this.#subscriber = new Worker(network.far.name);
  }

  static async start(network: LossyNetwork, system: SystemName, options: ClientOptions): Promise<LossyLink> {
    const { name: namespace, address: host } = network.near;
    return new LossyLink(network, await BenchServer.start(system, { host, namespace }), options);
  }

  /**
   * Connects while nothing is lost, and publishes while so much is.
   * @param lossPercent of the packets in each direction
   */
  async run(scenario: LinkScenario, lossPercent: number, seconds: number): Promise<LinkSample> {
    this.#runs += 1;
    const topics = Array.from({ length: scenario.topics }, (_, n) => `run-${this.#runs}-${n}`);
    const shared = { server: this.#server.address, options: this.#options };
    const warmUp = Math.ceil(WARM_UP_RECORDS / topics.length);
    const perTopic = Math.ceil((RATE * seconds) / topics.length) + warmUp;
    const records = perTopic * topics.length;
    const lastMs = (records / RATE) * 1e3;
    const patienceMs = lastMs + PATIENCE_MS;
    const order = {
      ...{ kind: 'subscribe' as const, ...shared, topics, records: perTopic, connections: 1 },
      ...{ quietMs: patienceMs, deadlineMs: patienceMs },
    };
    this.#network.setLoss(0);
    await using frozen = scenario.stall ? await this.#freeze({ ...order, timed: [] }) : undefined;
    const subscribed = this.#subscriber.next('subscribed');
    this.#subscriber.tell({ ...order, timed: topics, connections: scenario.subscribers });
    await subscribed;
    this.#network.setLoss(lossPercent);
    const received = this.#subscriber.next('received');
    const published = this.#publisher.next('published');
    this.#publisher.tell({ kind: 'pace', ...shared, topics, bytes: BYTES, rate: RATE, records });
    const { ages } = await received;
    this.#network.setLoss(0);
    frozen?.wake();
    await published;
    const times = topics.flatMap((topic) => ages[topic]!.slice(warmUp * scenario.subscribers));
    const wanted = (perTopic - warmUp) * topics.length * scenario.subscribers;
    return { ...latencyOf(times), delivered: times.length, lost: wanted - times.length };
  }

  /** A subscriber that does not run, but whose connection is there. */
  async #freeze(order: Order): Promise<Frozen> {
    const worker = new Worker(this.#network.far.name);
    const subscribed = worker.next('subscribed');
    worker.tell(order);
    await subscribed;
    process.kill(worker.pid, 'SIGSTOP');
    return new Frozen(worker);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#publisher[Symbol.asyncDispose](), this.#subscriber[Symbol.asyncDispose]()]);
    await this.#server[Symbol.asyncDispose]();
  }
}

/** A process that stands still, until it is woken up or not needed any more. */
class Frozen implements AsyncDisposable {
  readonly #worker: Worker;

  constructor(worker: Worker) {
    this.#worker = worker;
  }

  wake(): void {
    process.kill(this.#worker.pid, 'SIGCONT');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.wake();
    await this.#worker[Symbol.asyncDispose]();
  }
}
