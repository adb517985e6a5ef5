import { asSluiceError } from '../../../src/kernel/errors.ts';
import { Violation } from '../violation.ts';
import { GROUP, SOURCE } from './group-cluster.ts';
import type { SimQueuePlan } from './group-plan.ts';
import { SimClient } from './sim-client.ts';

const EVERY_MS = 400;

/** Configures the queues, and looks at everything, as an operator does. */
export class SimInspector extends SimClient {
  readonly #unsettled = new Map<string, string>();
  #configured = 0;

  /** Queues that are configured. */
  get configured(): number {
    return this.#configured;
  }

  /** What is not at rest yet, as it was seen last. */
  get unsettled(): readonly string[] {
    return [...this.#unsettled.values()];
  }

  configure(queues: readonly SimQueuePlan[]): void {
    for (const queue of queues) {
      this.#configure(queue).then(
        () => {
          this.#configured++;
        },
        (error: unknown) => this.cluster.fail(error),
      );
    }
  }

  /** From now on queues and the group have to come to rest. */
  start(queues: readonly SimQueuePlan[]): void {
    const watch = (what: string, look: () => Promise<string | undefined>): void => {
      this.#unsettled.set(what, `${what} was not seen`);
      this.#watch(what, look).catch((error: unknown) => this.cluster.fail(error));
    };
    for (const { name } of queues) watch(`queue ${name}`, () => this.#lookAtQueue(name));
    watch('group', () => this.#lookAtGroup());
  }

  async #configure({ name, ...settings }: SimQueuePlan): Promise<void> {
    for (;;) {
      try {
        await this.ask('configureQueue', { topic: SOURCE, group: name, settings });
        return;
      } catch (thrown) {
        this.cluster.trace(() => `${name} cannot be configured: ${asSluiceError(thrown).message}`);
      }
      await this.pause(EVERY_MS);
    }
  }

  async #watch(what: string, look: () => Promise<string | undefined>): Promise<never> {
    for (;;) {
      try {
        const fault = await look();
        if (fault === undefined) this.#unsettled.delete(what);
        else this.#unsettled.set(what, `${what}: ${fault}`);
      } catch (thrown) {
        if (thrown instanceof Violation) throw thrown;
        this.#unsettled.set(what, `${what}: ${asSluiceError(thrown).message}`);
      }
      await this.pause(EVERY_MS);
    }
  }

  async #lookAtQueue(group: string): Promise<string | undefined> {
    const { answer } = await this.ask('describeQueue', { topic: SOURCE, group });
    const open = answer.partitions.filter(({ floor, end }) => floor !== end);
    return open.length === 0
      ? undefined
      : open
          .map(
            ({ partition, floor, cursor, end, ready, leased, delayed }) =>
              `p${partition} ${floor}..${cursor}/${end}, ${ready} ready, ${leased} leased, ${delayed} delayed`,
          )
          .join('; ');
  }

  async #lookAtGroup(): Promise<string | undefined> {
    const { groups } = this.cluster;
    const floors = groups.floors();
    const { answer } = await this.ask('describeGroup', { group: GROUP });
    for (const { partition, committed } of answer.offsets) {
      groups.looked(partition, Number(committed), floors);
    }
    return answer.state === 'stable' ? undefined : answer.state;
  }
}
