import { asSluiceError } from '../../../src/kernel/errors.ts';
import type { SeededRandom } from '../../support/seeded-random.ts';
import type { Machine } from '../machine.ts';
import type { GroupAnswer } from '../../../src/groups/api.ts';
import type { Floors, PlaceOffset, ToldMember } from './group-checker.ts';
import type { GroupCluster } from './group-cluster.ts';
import { GROUP, SOURCE } from './group-cluster.ts';
import { SimClient } from './sim-client.ts';

/** What a member does. */
export interface SimMemberPlan {
  readonly name: string;
  /** Empty: none. */
  readonly instanceId: string;
  readonly sessionTimeoutMs: number;
  readonly maxWaitMs: number;
  readonly commitEveryMs: number;
  /** Share of answers after which it leaves for a while. */
  readonly leaveShare: number;
}

/** Clocks are so much off at most, and a bit. */
export const SURE_SHARE = 0.95;
const RETRY_MS = 150;
const LATE_MS = 800;
const EARLIEST = { at: { case: 'earliest', value: true } } as const;

/** A member of the consumer group that reads nothing but goes on as if it did, in the partitions it is told. */
export class SimMember extends SimClient {
  readonly plan: SimMemberPlan;
  #id = '';
  #lives = 0;
  #generation = 0;
  #owned = new Map<number, number>();
  #isStopped = false;

  constructor(
    plan: SimMemberPlan,
    cluster: GroupCluster,
    machine: Machine,
    random: SeededRandom,
    nowMs: () => number,
  ) {
    super(plan.name, cluster, machine, random, nowMs);
    this.plan = plan;
  }

  /** Begins a life in the process that runs now. */
  start(): void {
    this.#end();
    this.#id = `${this.name}.${this.#lives++}`;
    const fail = (error: unknown): void => this.cluster.fail(error);
    this.#run().catch(fail);
    this.#commitAll().catch(fail);
  }

  /** Ends the process at once. */
  crash(): void {
    this.#end();
    this.machine.stop();
  }

  /** Stays in the group from now on. */
  calm(): void {
    this.#isStopped = true;
  }

  #end(): void {
    this.cluster.groups.gone(this.#id);
    this.#owned = new Map();
    this.#generation = 0;
  }

  async #run(): Promise<never> {
    for (;;) {
      await this.#join();
      if (!this.#isStopped && this.#generation > 0 && this.random.chance(this.plan.leaveShare)) {
        await this.#leave();
      }
      await this.pause(20 + RETRY_MS * this.random.fraction());
    }
  }

  async #join(): Promise<void> {
    const { instanceId, sessionTimeoutMs, maxWaitMs } = this.plan;
    const { groups } = this.cluster;
    const floors = groups.floors();
    const memberId = this.#id;
    try {
      const { answer, sentMs } = await this.ask(
        'joinGroup',
        {
          ...{ group: GROUP, memberId, generation: this.#generation, instanceId, filters: [SOURCE] },
          owned: [...this.#owned.keys()].map((partition) => ({ topic: SOURCE, partition })),
          ...{ sessionTimeoutMs, maxWaitMs, start: EARLIEST },
        },
        maxWaitMs,
      );
      this.#take(answer, sentMs, floors);
    } catch (thrown) {
      const { code } = asSluiceError(thrown);
      this.cluster.trace(() => `${memberId} cannot join: ${code}`);
      if (code === 'UNKNOWN_MEMBER') this.#end();
      else if (thrown instanceof Error && thrown.name === 'Violation') throw thrown;
      await this.pause(RETRY_MS);
    }
  }

  #take({ generation, assigned }: GroupAnswer<'joinGroup'>, sentMs: number, floors: Floors): void {
    const { groups } = this.cluster;
    this.#generation = generation;
    const validUntilMs = sentMs + this.plan.sessionTimeoutMs * SURE_SHARE;
    const told: ToldMember = { id: this.#id, generation, validUntilMs };
    const places = new Map(assigned.map(({ partition, offset }) => [partition, Number(offset)]));
    for (const partition of [...this.#owned.keys()]) if (!places.has(partition)) this.#giveUp(partition);
    groups.heard(told, [...this.#owned.keys()], this.nowMs);
    for (const [partition, offset] of places) {
      if (this.#owned.has(partition)) continue;
      this.cluster.trace(() => `${this.#id} has p${partition} from ${offset} in ${generation}`);
      groups.holds(told, { partition, offset }, this.nowMs, floors);
      this.#owned.set(partition, offset);
    }
  }

  /** At times it has something to commit still, which comes in time or does not. */
  #giveUp(partition: number): void {
    this.cluster.trace(() => `${this.#id} gives up p${partition}`);
    const offset = this.#owned.get(partition)!;
    this.#owned.delete(partition);
    this.cluster.groups.givesUp(this.#id, partition);
    if (this.random.chance(0.5)) {
      this.#commitLate({ partition, offset }).catch((error: unknown) => this.cluster.fail(error));
    }
  }

  async #commitLate(place: PlaceOffset): Promise<void> {
    const memberId = this.#id;
    await this.pause(LATE_MS * this.random.fraction());
    if (this.#id === memberId && !this.#owned.has(place.partition)) await this.#commit([place]);
  }

  async #leave(): Promise<void> {
    const memberId = this.#id;
    const returning = this.plan.instanceId !== '' && this.random.chance(0.5);
    this.#end();
    this.cluster.trace(() => `${memberId} leaves`);
    await this.ask('leaveGroup', { group: GROUP, memberId, returning }).catch(() => undefined);
    await this.pause(2 * this.plan.sessionTimeoutMs * this.random.fraction());
    this.#id = `${this.name}.${this.#lives++}`;
  }

  /** One commit after the other; what it has read since is in the next. */
  async #commitAll(): Promise<never> {
    for (;;) {
      await this.pause(this.plan.commitEveryMs * (0.5 + this.random.fraction()));
      const places = [...this.#owned].map(([partition, offset]): PlaceOffset => {
        const next = offset + this.random.below(4);
        this.#owned.set(partition, next);
        return { partition, offset: next };
      });
      if (places.length > 0) await this.#commit(places);
    }
  }

  async #commit(places: readonly PlaceOffset[]): Promise<void> {
    const { groups } = this.cluster;
    const memberId = this.#id;
    const generation = this.#generation;
    for (const place of places) groups.commitSent(memberId, place);
    try {
      const { answer, sentMs } = await this.ask('commitOffsets', {
        ...{ group: GROUP, memberId, generation },
        offsets: places.map(({ partition, offset }) => ({
          ...{ topic: SOURCE, partition, offset: BigInt(offset) },
        })),
      });
      answer.results.forEach(({ errorCode }, nth) => {
        groups.committed(memberId, places[nth]!, generation, sentMs, errorCode === 0);
      });
    } catch (thrown) {
      const { code } = asSluiceError(thrown);
      if (thrown instanceof Error && thrown.name === 'Violation') throw thrown;
      this.cluster.trace(() => `${memberId} cannot commit: ${code}`);
      if (code !== 'UNKNOWN_MEMBER') return;
      for (const place of places) groups.committed(memberId, place, generation, this.nowMs, false);
    }
  }
}
