import type { Timer } from '../../kernel/clock.ts';
import { asSluiceError, SluiceError } from '../../kernel/errors.ts';
import { Backoff } from '../../kernel/backoff.ts';
import type { Attachment, ConnectionSupervisor } from '../connection/connection-supervisor.ts';
import { DirectRoutes } from './direct-routes.ts';
import type { NodeLinks } from '../connection/node-links.ts';
import type { LogIdentity, ProducerIdentity } from './outgoing-batch.ts';
import type { PartitionQueue, QueueHost } from './partition-queue.ts';
import { PendingTopics } from './pending-topics.ts';
import type { ClientPorts } from '../ports.ts';
import { ProducerConnection } from './producer-connection.ts';
import type { ProducerPlan } from './producer-options.ts';
import type { ProducerStream } from './producer-stream.ts';
import { SendRoom } from './send-room.ts';
import type { Session } from '../connection/session.ts';
import type { SendRequest, TopicDirectory, TopicShape } from '../topic-directory.ts';
import type { EncodedRecord } from './topic-lane.ts';
import { TopicLane } from './topic-lane.ts';

/** What a producer needs of its client. */
export interface ProducerContext {
  readonly supervisor: ConnectionSupervisor;
  readonly ports: ClientPorts;
  readonly directory: TopicDirectory;
  /** Connections to the nodes that lead; undefined: everything goes through the home connection. */
  readonly links: NodeLinks | undefined;
  readonly request: SendRequest;
}

/** What the engine tells the producer it works for. */
export interface EngineHost {
  /** Records that nobody waits for were given up. `topic` is undefined where the broker did not say which they were. */
  rejected(
    topic: string | undefined,
    partition: number | undefined,
    error: SluiceError,
    records: number,
  ): void;
  /** Nothing will be published any more. */
  failed(error: SluiceError): void;
}

/** How often waiting batches are looked through for those that waited too long, milliseconds. */
const SWEEP_MS = 500;
/** How often the number of partitions of topics in use is asked for again, milliseconds. */
const REFRESH_MS = 60_000;

/** What is behind a producer: lanes and queues, the streams they share, and the identity the brokers know it by. */
export class ProducerEngine implements QueueHost, Attachment {
  readonly plan: ProducerPlan;
  readonly ports: ClientPorts;
  readonly room: SendRoom;
  readonly #context: ProducerContext;
  readonly #host: EngineHost;
  readonly #lanes = new Map<string, TopicLane>();
  readonly #pending: PendingTopics;
  /** Takes what has no way of its own to its leader. */
  readonly #home: ProducerConnection;
  readonly #routes: DirectRoutes | undefined;
  readonly #initBackoff: Backoff;
  #identity: ProducerIdentity | undefined;
  #clusterId = '';
  #initializing = false;
  #soon: PartitionQueue[] = [];
  #sweep: Timer | undefined;
  #refreshedMs: number;
  #over = false;

  constructor(plan: ProducerPlan, context: ProducerContext, host: EngineHost) {
    this.plan = plan;
    this.ports = context.ports;
    this.room = new SendRoom(plan.bufferBytes);
    this.#context = context;
    this.#host = host;
    this.#initBackoff = new Backoff({ minMs: 50, maxMs: 5000 }, context.ports.random);
    this.#refreshedMs = context.ports.clock.monotonicMs();
    const user = {
      streamUp: () => this.#pumpAll(),
      streamLost: this.#streamLost.bind(this),
      nodeUnreachable: this.#nodeUnreachable.bind(this),
    };
    this.#home = new ProducerConnection(context.ports, user);
    // Without answers nobody knows when all that went one way has arrived, and the other may be taken.
    this.#routes =
      context.links && plan.acks !== 0 ? new DirectRoutes(context.links, context.ports, user) : undefined;
    this.#pending = new PendingTopics(
      {
        ports: context.ports,
        room: this.room,
        deliveryTimeoutMs: plan.deliveryTimeoutMs,
        opened: (topic, shape) => this.#openLane(topic, shape),
        append: (topic, record) => this.#lanes.get(topic)!.append(record),
        refused: (topic, error, unheard) => host.rejected(topic, undefined, error, unheard),
      },
      context.directory,
    );
  }

  /** Begins to work. */
  start(): void {
    this.#context.supervisor.attach(this);
  }

  streamOf(topic: string, partition: number): ProducerStream | undefined {
    const home = this.#home;
    const routes = this.#routes;
    const leader = routes && this.#lanes.get(topic)?.leader(partition);
    if (!leader || leader === home.session?.nodeId) return home.stream;
    return routes.streamTo(leader) ?? home.stream;
  }

  get identity(): ProducerIdentity | undefined {
    return this.#identity;
  }

  /** The session whose limits hold now, if there is one. */
  get session(): Session | undefined {
    return this.#home.session;
  }

  /** Takes a record; its bytes are copied. @throws PARTITION_NOT_FOUND, INVALID_ARGUMENT */
  append(topic: string, record: EncodedRecord): void {
    const lane = this.#lanes.get(topic);
    if (lane === undefined) this.#pending.add(topic, record);
    else lane.append(record);
    if (this.#sweep === undefined) this.#wake();
  }

  /** Resolves when everything taken so far is answered for. */
  async flush(): Promise<void> {
    await this.#pending.settled();
    await Promise.all(this.#queues().map((queue) => queue.flush()));
  }

  /** Gives up everything. Idempotent. */
  close(error: SluiceError): void {
    if (this.#over) return;
    this.#over = true;
    this.#context.supervisor.detach(this);
    this.#sweep?.cancel();
    this.#home.close();
    this.#routes?.close();
    this.#pending.close(error);
    for (const queue of this.#queues()) queue.rejectAll(error);
    this.room.release();
  }

  sessionUp(session: Session): void {
    for (const lane of this.#lanes.values()) lane.forgetEpochs();
    this.#clusterId = session.clusterId;
    this.#home.sessionUp(session);
    this.#refresh();
  }

  sessionDown(session: Session): void {
    this.#home.sessionDown(session);
  }

  closed(error: SluiceError): void {
    this.close(error);
    this.#host.failed(error);
  }

  renewIdentity(old: ProducerIdentity): void {
    if (this.#identity === old) this.#identity = undefined;
    this.#initialize();
  }

  pumpSoon(queue: PartitionQueue): void {
    this.#soon.push(queue);
    if (this.#soon.length > 1) return;
    queueMicrotask(() => {
      const queues = this.#soon;
      this.#soon = [];
      for (const each of queues) each.pump();
    });
  }

  batchRejected(queue: PartitionQueue, error: SluiceError, unheard: number): void {
    if (unheard > 0) this.#host.rejected(queue.topic, queue.partition, error, unheard);
    if (error.code === 'PARTITION_NOT_FOUND' || error.code === 'TOPIC_NOT_FOUND')
      this.refreshTopic(queue.topic);
  }

  logOf(topic: string, partition: number): LogIdentity {
    const leaderEpoch = this.#lanes.get(topic)?.leaderEpoch(partition);
    return { clusterId: this.#clusterId, leaderEpoch };
  }

  refreshTopic(topic: string): void {
    this.#learn(topic, this.#context.directory.shapeOf(topic));
  }

  leaderWrong(topic: string): void {
    if (this.#routes !== undefined) this.#learn(topic, this.#context.directory.shapeAgain(topic));
  }

  #learn(topic: string, asked: Promise<TopicShape>): void {
    const { supervisor } = this.#context;
    const { session } = supervisor;
    asked.then(
      (shape) => {
        // Of a connection that is gone by now only the number of partitions is of use.
        const known = session === supervisor.session ? shape : { ...shape, leaderEpochs: [] };
        this.#lanes.get(topic)?.setShape(known);
      },
      () => undefined, // publishing goes on with what is known; what is wrong is said in answer to it
    );
  }

  #queues(): PartitionQueue[] {
    return [...this.#lanes.values()].flatMap((lane) => lane.queues);
  }

  #pumpAll(): void {
    for (const queue of this.#queues()) queue.pump();
  }

  #openLane(topic: string, shape: TopicShape): void {
    const first = Math.floor(this.ports.random.fraction() * shape.partitions);
    this.#lanes.set(topic, new TopicLane(this, topic, shape, first));
  }

  #streamLost(stream: ProducerStream | undefined, error: SluiceError, final: boolean): void {
    // Without answers nobody knows which batch the broker meant.
    if (this.plan.acks === 0 && final) this.#host.rejected(undefined, undefined, error, 0);
    if (stream === undefined) return;
    for (const queue of this.#queues()) queue.streamLost(stream, error, final);
    this.#pumpAll(); // there may be another way
  }

  /** What is for the node goes through the home connection now; whether the node still leads is asked for. */
  #nodeUnreachable(nodeId: string, lost: boolean): void {
    for (const lane of this.#lanes.values()) {
      if (!lane.isLedBy(nodeId)) continue;
      if (lost) lane.forgetEpochs();
      this.leaderWrong(lane.topic);
    }
  }

  /** Asks for an identity, and again until the broker gives one or says that it never will. */
  #initialize(): void {
    if (!this.plan.idempotent || this.#identity !== undefined || this.#initializing || this.#over) return;
    this.#initializing = true;
    this.#context.request('initProducer', {}).then(
      ({ producerId, producerEpoch }) => {
        this.#initializing = false;
        if (this.#over) return;
        this.#initBackoff.reset();
        this.#identity = { producerId: Number(producerId), producerEpoch };
        this.#pumpAll();
      },
      (error: unknown) => {
        const known = asSluiceError(error);
        if (!known.retryable) {
          this.#initializing = false;
          for (const queue of this.#queues()) queue.rejectAll(known);
          return;
        }
        this.ports.clock.setTimer(this.#initBackoff.nextMs(), () => {
          this.#initializing = false;
          this.#initialize();
        });
      },
    );
  }

  /** There is something to do now: an identity is needed, and somebody who looks after deadlines. */
  #wake(): void {
    this.#initialize();
    this.#sweep = this.ports.clock.setTimer(SWEEP_MS, () => {
      this.#sweep = undefined;
      const nowMs = this.ports.clock.monotonicMs();
      for (const queue of this.#queues()) queue.expire(nowMs);
      if (nowMs - this.#refreshedMs >= REFRESH_MS) this.#refresh();
      if (this.room.usedBytes > 0 && !this.#over) this.#wake();
    });
  }

  #refresh(): void {
    this.#refreshedMs = this.ports.clock.monotonicMs();
    for (const topic of this.#lanes.keys()) this.refreshTopic(topic);
  }
}

/** What a record that cannot be published is told. */
export function tooLarge(what: 'key' | 'record', bytes: number, maxBytes: number): SluiceError {
  const code = what === 'key' ? 'KEY_TOO_LARGE' : 'RECORD_TOO_LARGE';
  return new SluiceError(code, `a ${what} of ${bytes} bytes; the broker takes at most ${maxBytes}`);
}
