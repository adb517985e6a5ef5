import { SluiceError } from '../kernel/errors.ts';
import { Admin } from './admin/admin.ts';
import { withDeadline } from './deadline.ts';
import type { ResolvedOptions } from './connection/connect-options.ts';
import type { ClientEvents, ConnectionSupervisor } from './connection/connection-supervisor.ts';
import type { RequestBody, RequestName, ResponseBody } from './connection/pending-requests.ts';
import type { Unlisten } from './events.ts';
import { GroupRequests } from './group-requests.ts';
import { GroupConsumer } from './groups/consumer.ts';
import type { GroupOptions } from './groups/options.ts';
import { planGroup } from './groups/options.ts';
import type { NodeLinks } from './connection/node-links.ts';
import type { ClientPorts } from './ports.ts';
import { Producer } from './producer/producer.ts';
import type { ProducerOptions } from './producer/producer-options.ts';
import { planProducer } from './producer/producer-options.ts';
import type { QueueOptions } from './queues/options.ts';
import { planQueue } from './queues/options.ts';
import { Queue } from './queues/queue.ts';
import type { StartPosition, SubscribeOptions } from './subscription/subscribe-options.ts';
import { planSubscription } from './subscription/subscribe-options.ts';
import { Subscription } from './subscription/subscription.ts';
import { TopicDirectory } from './topic-directory.ts';

/** What a client knows about the connection it has now. */
export interface ConnectionInfo {
  readonly url: string;
  readonly nodeId: string;
  readonly clusterId: string;
  /** Who the broker takes this client for. */
  readonly principal: string;
  /** Milliseconds, where the transport measures it. */
  readonly rttMs: number | undefined;
}

const CLOSE_TIMEOUT_MS = 10_000;

/**
 * A connection to a broker that comes back by itself, with the producers and subscriptions that live on it. An open client keeps
 * the process alive; `close()` or `await using` ends it.
 */
export class Client implements AsyncDisposable {
  readonly admin: Admin;
  readonly #supervisor: ConnectionSupervisor;
  readonly #options: ResolvedOptions;
  readonly #ports: ClientPorts;
  readonly #directory: TopicDirectory;
  readonly #links: NodeLinks | undefined;
  readonly #producers = new Set<Producer>();
  readonly #subscriptions = new Set<Subscription>();
  readonly #members = new Set<GroupConsumer>();
  readonly #queues = new Set<Queue>();
  #closing: Promise<void> | undefined;

  /**
   * @param supervisor one that has connected
   * @param links attached to it; undefined: leaders are not reached directly
   */
  constructor(
    supervisor: ConnectionSupervisor,
    options: ResolvedOptions,
    ports: ClientPorts,
    links: NodeLinks | undefined,
  ) {
    this.#supervisor = supervisor;
    this.#options = options;
    this.#ports = ports;
    const ask = this.#ask.bind(this);
    this.#links = links;
    this.#directory = new TopicDirectory(ask, ports, (nodes) => links?.learn(nodes));
    this.admin = new Admin(ask, this.#change.bind(this), this.#groupRequests(true).ask);
  }

  /** Calls `listener` for each event of that name from now on. */
  on<Name extends keyof ClientEvents>(name: Name, listener: (event: ClientEvents[Name]) => void): Unlisten {
    return this.#supervisor.events.on(name, listener);
  }

  /** The connection there is now; undefined while the client tries to get one. */
  get connection(): ConnectionInfo | undefined {
    const session = this.#supervisor.session;
    if (session === undefined) return undefined;
    const { url, nodeId, clusterId, principal } = session;
    return { url, nodeId, clusterId, principal, rttMs: session.connection.stats().rttMs };
  }

  /** Begins to publish. @throws INVALID_ARGUMENT when the options contradict each other */
  producer(options: ProducerOptions = {}): Producer {
    const context = {
      supervisor: this.#supervisor,
      ports: this.#ports,
      directory: this.#directory,
      links: this.#links,
      request: this.#ask.bind(this),
    };
    const producer = Producer.start(
      planProducer(options),
      context,
      (over) => void this.#producers.delete(over),
    );
    this.#producers.add(producer);
    return producer;
  }

  /**
   * Subscribes; resolves when the broker has accepted, so that everything published from then on comes.
   *
   * @param filter `topic`, `topic/key-filter` with `+` and `#`, or a topic wildcard such as `prices.*`
   * @throws INVALID_FILTER, INVALID_ARGUMENT, FORBIDDEN, OFFSET_OUT_OF_RANGE; CLOSED
   */
  async subscribe(filter: string, options: SubscribeOptions = {}): Promise<Subscription> {
    const plan = planSubscription(filter, options);
    const onClosed = (over: Subscription): void => void this.#subscriptions.delete(over);
    const paused = options.paused ?? false;
    const subscription = await Subscription.open(this.#supervisor, this.#ports, plan, paused, onClosed);
    this.#subscriptions.add(subscription);
    return subscription;
  }

  /**
   * Becomes a member of a consumer group, which shares the partitions of its topics among its members and remembers how far each is.
   * It joins by itself; `ready()` resolves when it has.
   *
   * @throws INVALID_ARGUMENT when the options cannot be
   */
  group(name: string, options: GroupOptions): GroupConsumer {
    const context = {
      supervisor: this.#supervisor,
      ports: this.#ports,
      requests: this.#groupRequests(true),
      clientId: this.#options.clientId,
      offsetAt: this.#offsetAt.bind(this),
      onClosed: (over: GroupConsumer) => void this.#members.delete(over),
    };
    const member = GroupConsumer.start(context, planGroup(name, options));
    this.#members.add(member);
    return member;
  }

  /**
   * Becomes a consumer of a queue: of a topic whose records are leased one by one to the consumers of a group. Nothing is asked for before it
   * is iterated, processes or receives.
   *
   * @throws INVALID_ARGUMENT when the options cannot be
   */
  queue(topic: string, options: QueueOptions = {}): Queue {
    const context = {
      supervisor: this.#supervisor,
      ports: this.#ports,
      requests: this.#groupRequests(true),
      onClosed: (over: Queue) => void this.#queues.delete(over),
    };
    const queue = new Queue(context, planQueue(topic, this.#options.clientId, options));
    this.#queues.add(queue);
    return queue;
  }

  /** Measures a round trip to the broker and back, milliseconds. @throws TIMEOUT, CLOSED */
  async ping(): Promise<number> {
    const session = await this.#withTimeout(this.#supervisor.whenUp());
    return this.#withTimeout(session.ping());
  }

  /**
   * Leaves groups, gives back what is leased, ends subscriptions, flushes and closes producers, and closes the connection. Idempotent.
   *
   * @param options `timeoutMs`: how long groups, queues and producers may take; what is not answered then is rejected with CLOSED. Default 10,000
   * @throws what a producer's flush throws; the client is closed all the same
   */
  close(options: { readonly timeoutMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(options.timeoutMs ?? CLOSE_TIMEOUT_MS);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(timeoutMs: number): Promise<void> {
    const producers = [...this.#producers];
    const members = [...this.#members, ...this.#queues];
    const deadline = this.#ports.clock.setTimer(timeoutMs, () => {
      for (const one of [...members, ...producers]) one.abort();
    });
    try {
      await Promise.all([...this.#subscriptions, ...members].map((reader) => reader.close()));
      await Promise.all(producers.map((producer) => producer.close()));
    } finally {
      deadline.cancel();
      this.#supervisor.end();
    }
  }

  #groupRequests(onStream: boolean): GroupRequests {
    const { requestTimeoutMs } = this.#options;
    return new GroupRequests(
      { supervisor: this.#supervisor, ports: this.#ports, requestTimeoutMs },
      onStream,
    );
  }

  async #offsetAt(topic: string, partition: number, at: StartPosition): Promise<number> {
    const [position] = await this.admin.listOffsets(topic, at, [partition]);
    if (position !== undefined) return position.offset;
    throw new SluiceError('PARTITION_NOT_FOUND', `${topic}/${partition}: the broker names no offset`);
  }

  /** Sends what may be sent twice: again on the next session when the one before is lost. */
  async #ask<Name extends RequestName>(name: Name, body: RequestBody<Name>): Promise<ResponseBody<Name>> {
    const { clock } = this.#ports;
    const deadlineMs = clock.monotonicMs() + this.#options.requestTimeoutMs;
    for (;;) {
      const leftMs = Math.max(0, deadlineMs - clock.monotonicMs());
      const session = await this.#withTimeout(this.#supervisor.whenUp(), leftMs);
      try {
        return await this.#withTimeout(
          session.request(name, body),
          Math.max(0, deadlineMs - clock.monotonicMs()),
        );
      } catch (error) {
        if (session.alive || this.#supervisor.ended !== undefined) throw error;
      }
    }
  }

  async #change<Name extends RequestName>(name: Name, body: RequestBody<Name>): Promise<ResponseBody<Name>> {
    const session = await this.#withTimeout(this.#supervisor.whenUp());
    return this.#withTimeout(session.request(name, body));
  }

  #withTimeout<T>(promise: Promise<T>, timeoutMs = this.#options.requestTimeoutMs): Promise<T> {
    const onTimeout = (): SluiceError =>
      new SluiceError('TIMEOUT', `the broker did not answer within ${this.#options.requestTimeoutMs} ms`);
    return withDeadline(this.#ports.clock, timeoutMs, promise, onTimeout);
  }
}
