import type { GroupAnswer, GroupCase, GroupQuestionInit } from '../../../src/groups/api.ts';
import { asSluiceError } from '../../../src/kernel/errors.ts';
import type { SeededRandom } from '../../support/seeded-random.ts';
import type { Machine } from '../machine.ts';
import { CallLanes } from '../network.ts';
import type { GroupCluster, GroupServer } from './group-cluster.ts';

/** Beyond what a question may wait. */
const CALL_TIMEOUT_MS = 2500;
/** How long a node may take to notice that its client is gone. */
const FORGET_MS = 1000;

/** An answer and when its question was sent. */
export interface Answered<C extends GroupCase> {
  readonly answer: GroupAnswer<C>;
  /** True time, milliseconds. */
  readonly sentMs: number;
}

/** A client that asks through one node, and through another one when that does not answer. */
export class SimClient {
  readonly name: string;
  readonly machine: Machine;
  protected readonly cluster: GroupCluster;
  protected readonly random: SeededRandom;
  readonly #nowMs: () => number;
  #server: GroupServer | undefined;
  #lanes = new CallLanes();

  /** @param nowMs true time */
  constructor(
    name: string,
    cluster: GroupCluster,
    machine: Machine,
    random: SeededRandom,
    nowMs: () => number,
  ) {
    this.name = name;
    this.cluster = cluster;
    this.machine = machine;
    this.random = random;
    this.#nowMs = nowMs;
  }

  /** True time, milliseconds. */
  protected get nowMs(): number {
    return this.#nowMs();
  }

  /**
   * Asks; never returns when the process ends meanwhile.
   * @param waitMs how long the question may wait
   * @throws what a client would be told; UNAVAILABLE, TIMEOUT
   */
  protected ask<C extends GroupCase>(
    name: C,
    question: GroupQuestionInit<C>,
    waitMs = 0,
  ): Promise<Answered<C>> {
    const gone = new AbortController();
    const sentMs = this.nowMs;
    return this.call(
      async (server) => ({ answer: await server.ask(name, question, gone.signal), sentMs }),
      waitMs + CALL_TIMEOUT_MS,
      gone,
    );
  }

  /** @throws as {@link ask} */
  protected async call<T>(
    effect: (server: GroupServer) => Promise<T>,
    timeoutMs = CALL_TIMEOUT_MS,
    gone = new AbortController(),
  ): Promise<T> {
    const { process } = this.machine;
    const server = (this.#server ??= this.random.pick(this.cluster.servers));
    try {
      const value = await this.cluster.network.call(
        this.machine,
        server.machine,
        timeoutMs,
        () => effect(server),
        this.#lanes,
      );
      if (this.machine.process !== process) return await new Promise<never>(() => undefined);
      return value;
    } catch (thrown) {
      const error = asSluiceError(thrown);
      server.machine.post(FORGET_MS * this.random.fraction(), () => gone.abort());
      if (this.machine.process !== process) return await new Promise<never>(() => undefined);
      if (error.retryable) this.#leave(server);
      throw error;
    }
  }

  protected pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.machine.clock.setTimer(ms, resolve);
    });
  }

  #leave(server: GroupServer): void {
    if (this.#server !== server) return;
    this.#server = undefined;
    this.#lanes = new CallLanes();
  }
}
