import { isAboutSequences, leavesUnclear } from '../../src/client/producer/refusals.ts';
import type { ErrorCode } from '../../src/kernel/errors.ts';
import { asSluiceError } from '../../src/kernel/errors.ts';
import { RecordBatchEncoder } from '../../src/wire/record-batch-encoder.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import { recordText } from './committed.ts';
import type { ProducerPromise } from './committed.ts';
import type { Machine } from './machine.ts';
import { CallLanes } from './network.ts';
import type { SimCluster, SimServer } from './sim-cluster.ts';
import { Violation } from './violation.ts';

/** What a producer does. */
export interface SimProducerPlan {
  readonly name: string;
  readonly partition: number;
  readonly acks: 1 | 2;
  /** Undefined: not idempotent. */
  readonly producerId: number | undefined;
  /** Batches in flight. */
  readonly window: number;
  /** Milliseconds between two batches. */
  readonly intervalMs: number;
}

interface Pending {
  /** Counts the batches of its producer. */
  readonly index: number;
  readonly firstNumber: number;
  readonly count: number;
  /** Of the first record; renewed with the identity. */
  sequence: number;
  isInFlight: boolean;
  /** It may have been stored. */
  isUncertain: boolean;
}

const CALL_TIMEOUT_MS = 1500;
const PENDING_MAX = 8;
const RETRY_MS = 100;

/**
 * What the producer promises its records will be in the log.
 * @param keepsAll else a copy that began anew may not know a producer of which nothing is retained
 */
export function promiseOf({ acks, producerId }: SimProducerPlan, keepsAll: boolean): ProducerPromise {
  if (producerId === undefined) return 'none';
  return acks === 2 && keepsAll ? 'exact' : 'once';
}

/** A client that publishes to one partition as the SDK does: in order, and again until it is stored. */
export class SimProducer {
  readonly plan: SimProducerPlan;
  readonly #promise: ProducerPromise;
  readonly #cluster: SimCluster;
  readonly #machine: Machine;
  readonly #random: SeededRandom;
  readonly #encoder = new RecordBatchEncoder();
  #pending: Pending[] = [];
  #nextNumber = 0;
  #taken = 0;
  #sequence = 0;
  #producerId: number | undefined;
  #lanes = new CallLanes();
  #leader: SimServer | undefined;
  #inFlight = 0;
  #state: 'flowing' | 'settling' | 'resting' = 'flowing';
  /** Another identity is wanted, once nothing is in flight. */
  #isOver = false;
  #isStopped = false;
  /** Batches that were acknowledged. */
  acknowledged = 0;

  constructor(
    plan: SimProducerPlan,
    promise: ProducerPromise,
    cluster: SimCluster,
    machine: Machine,
    random: SeededRandom,
  ) {
    this.plan = plan;
    this.#promise = promise;
    this.#producerId = plan.producerId;
    this.#cluster = cluster;
    this.#machine = machine;
    this.#random = random;
  }

  /** Whether everything it took is answered. */
  get isIdle(): boolean {
    return this.#pending.length === 0;
  }

  start(): void {
    const next = (): void => {
      if (this.#isStopped) return;
      if (this.#pending.length < PENDING_MAX) this.#take();
      this.#machine.clock.setTimer(this.plan.intervalMs * (0.5 + this.#random.fraction()), next);
    };
    next();
  }

  /** Takes nothing new; what is there is sent. */
  stop(): void {
    this.#isStopped = true;
  }

  #take(): void {
    const count = this.#random.between(1, 3);
    this.#pending.push({
      index: this.#taken++,
      firstNumber: this.#nextNumber,
      count,
      sequence: this.#sequence,
      isInFlight: false,
      isUncertain: false,
    });
    this.#nextNumber += count;
    this.#sequence += count;
    this.#pump();
  }

  #pump(): void {
    if (this.#state !== 'flowing') return;
    if (!this.#leader) {
      this.#findLeader();
      return;
    }
    for (const batch of this.#pending) {
      // As the SDK: the leader has to remember the oldest, whatever it has stored of those behind.
      if (batch.index - this.#pending[0]!.index >= this.plan.window) return;
      if (this.#inFlight >= this.plan.window) return;
      if (!batch.isInFlight) this.#send(this.#leader, batch);
    }
  }

  /** Any node says who leads, as far as it knows. */
  #findLeader(): void {
    this.#state = 'resting';
    const { network, servers } = this.#cluster;
    const asked = this.#random.pick(servers);
    network
      .call(this.#machine, asked.machine, CALL_TIMEOUT_MS, () => asked.leaderOf(this.plan.partition))
      .then(
        (name) => (this.#leader = servers.find((one) => one.name === name)),
        () => undefined,
      )
      .finally(() => {
        this.#lanes = new CallLanes();
        this.#goOn(this.#leader ? 0 : RETRY_MS);
      });
  }

  #goOn(afterMs: number): void {
    this.#state = 'resting';
    this.#machine.clock.setTimer(afterMs, () => {
      this.#state = 'flowing';
      if (this.#pending.length > 0) this.#pump();
    });
  }

  #send(leader: SimServer, batch: Pending): void {
    const { network } = this.#cluster;
    const { acks, partition } = this.plan;
    const bytes = this.#encode(batch);
    batch.isInFlight = true;
    this.#inFlight++;
    network
      .call(
        this.#machine,
        leader.machine,
        CALL_TIMEOUT_MS,
        () => leader.publish(partition, bytes, acks),
        this.#lanes,
      )
      .then(
        ({ baseOffset }) => this.#stored(batch, baseOffset),
        (error: unknown) => {
          if (error instanceof Violation) throw error;
          this.#refused(batch, asSluiceError(error).code);
        },
      )
      .finally(() => {
        this.#inFlight--;
        batch.isInFlight = false;
        if (this.#state === 'settling' && this.#inFlight === 0) {
          this.#leader = undefined;
          if (this.#isOver) this.#renew();
          this.#goOn(RETRY_MS * this.#random.fraction());
        } else this.#pump();
      })
      .catch((error: unknown) => this.#cluster.fail(error));
  }

  #encode({ firstNumber, count, sequence }: Pending): Buffer {
    for (let index = 0; index < count; index++) {
      const number = firstNumber + index;
      const text = recordText(this.plan.name, number);
      this.#encoder.append(Buffer.from(`k${number % 3}`), Buffer.from(text), [], this.#machine.clock.now());
    }
    if (this.#producerId === undefined) return this.#encoder.finish({ codec: 'none' });
    return this.#encoder.finish({
      codec: 'none',
      producerId: this.#producerId,
      producerEpoch: 0,
      baseSequence: sequence,
    });
  }

  #stored(batch: Pending, baseOffset: number): void {
    this.acknowledged++;
    this.#pending = this.#pending.filter((one) => one !== batch);
    const { name, partition, acks } = this.plan;
    const text = recordText(name, batch.firstNumber);
    this.#cluster.trace(() => `${name} ${text} is at ${baseOffset}`);
    if (acks === 2) this.#cluster.checker.committed(partition).checkAt(baseOffset, text);
  }

  #refused(batch: Pending, code: ErrorCode): void {
    this.#cluster.trace(() => `${this.plan.name}:${batch.firstNumber} refused: ${code}`);
    const isFirst = this.#pending[0] === batch;
    this.#state = 'settling';
    if (leavesUnclear(code)) batch.isUncertain = true;
    // Behind another that failed it is only the consequence.
    if (code !== 'GAP' && !(isFirst && isAboutSequences(code))) return;
    this.#checkForgetting(batch, code);
    // Those behind may be on their way with this identity still.
    this.#isOver = true;
  }

  /** The leader does not remember what it has stored, or has it no more. */
  #checkForgetting(batch: Pending, code: string): void {
    if (this.#promise !== 'exact') return;
    throw new Violation(
      'what producers have sent is remembered',
      `${this.plan.name}: ${code} for number ${batch.firstNumber}`,
    );
  }

  /** Goes on with another identity. */
  #renew(): void {
    this.#isOver = false;
    // What may have been stored cannot be sent with another identity; the rest begins anew.
    this.#pending = this.#pending.filter(({ isUncertain }) => !isUncertain);
    if (this.#producerId !== undefined) this.#producerId += 1000;
    this.#sequence = 0;
    for (const one of this.#pending) {
      one.sequence = this.#sequence;
      this.#sequence += one.count;
    }
  }
}
