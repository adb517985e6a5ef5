import type { GroupAsker, GroupAnswerInit, GroupCase, GroupQuestion } from '../../src/groups/api.ts';
import type { GroupParts, MakeGroupParts } from '../../src/groups/coordinator.ts';
import type { GroupPart, GroupPartCounts, GroupPartOptions } from '../../src/groups/group-part.ts';
import { SluiceError } from '../../src/kernel/errors.ts';

/**
 * A part with little sense in it: a commit stores what it says as a fact, a description tells the facts of its group, whoever receives waits for
 * ever, but from the topic `plenty` two records of as many bytes as it may, and the other
 * questions are answered with nothing.
 */
export class FakePart implements GroupPart {
  readonly options: GroupPartOptions;
  readonly facts = new Map<string, string>();
  /** Names of questions, in order. */
  readonly asked: GroupCase[] = [];
  readonly questions: unknown[] = [];
  /** Who asked the last one. */
  asker: GroupAsker | undefined;
  /** Name, question and answer, each time that an answer has reached nobody. */
  readonly undeliveredAnswers: (readonly unknown[])[] = [];
  /** What happened to it. */
  readonly life: string[] = [];
  readonly #waiting = new Set<(error: SluiceError) => void>();

  constructor(options: GroupPartOptions) {
    this.options = options;
  }

  load(key: readonly string[], value: Buffer | null): void {
    if (value?.toString() === 'rubbish') throw new SluiceError('CORRUPT_LOG', 'rubbish');
    if (value) this.facts.set(key.join('/'), value.toString());
    else this.facts.delete(key.join('/'));
  }

  start(): void {
    this.life.push(`started with ${this.facts.size}`);
  }

  async ask<C extends GroupCase>(
    name: C,
    question: GroupQuestion<C>,
    signal?: AbortSignal,
    asker?: GroupAsker,
  ): Promise<GroupAnswerInit<C>> {
    this.asker = asker;
    this.asked.push(name);
    this.questions.push(question);
    const answer: unknown = await this.#answer(name, question, signal);
    return answer as GroupAnswerInit<C>;
  }

  undelivered(...answer: readonly unknown[]): void {
    this.undeliveredAnswers.push(answer);
  }

  close(): void {
    this.life.push('closed');
    for (const refuse of this.#waiting) refuse(new SluiceError('NOT_LEADER', 'closed'));
    this.#waiting.clear();
  }

  counts(): GroupPartCounts {
    return { facts: this.facts.size, waiting: this.#waiting.size };
  }

  async #answer(name: GroupCase, question: unknown, signal: AbortSignal | undefined): Promise<unknown> {
    switch (name) {
      case 'commitOffsets':
        return this.#commit(question as GroupQuestion<'commitOffsets'>);
      case 'describeGroup':
        return this.#describe(question as GroupQuestion<'describeGroup'>);
      case 'listGroups':
        return this.#list();
      case 'listQueues': {
        const { partition } = this.options.log;
        return { queues: [{ topic: `t${partition}`, coordinatorNodeId: this.options.nodeId }] };
      }
      case 'joinGroup':
        return { assigned: [{ topic: 'open' }, { topic: 'secret' }] };
      case 'receive':
        return this.#receive(question as GroupQuestion<'receive'>, signal);
      default:
        return {};
    }
  }

  async #commit({ group, offsets }: GroupQuestion<'commitOffsets'>): Promise<unknown> {
    const facts = offsets.map(({ topic, partition, offset }) => ({
      key: `o/${group}/${topic}/${partition}`,
      text: String(offset),
    }));
    try {
      await this.options.log.append(facts.map(({ key, text }) => ({ key, value: Buffer.from(text) })));
    } catch (error) {
      this.options.onFailure(error);
      throw error;
    }
    for (const { key, text } of facts) this.facts.set(key, text);
    return { results: offsets.map(() => ({})) };
  }

  #describe({ group }: GroupQuestion<'describeGroup'>): unknown {
    const offsets = [...this.facts].flatMap(([key, committed]) => {
      const [, owner, topic, partition] = key.split('/');
      return owner === group ? [{ topic, partition: Number(partition), committed: BigInt(committed) }] : [];
    });
    return { group, offsets, coordinatorNodeId: this.options.nodeId };
  }

  #list(): unknown {
    const groups = new Map<string, string[]>();
    for (const key of this.facts.keys()) {
      const [, group, topic] = key.split('/');
      groups.set(group!, [...(groups.get(group!) ?? []), topic!]);
    }
    return { groups: [...groups].map(([group, topics]) => ({ group, topics })) };
  }

  #receive({ topic, maxBytes }: GroupQuestion<'receive'>, signal: AbortSignal | undefined): unknown {
    if (topic === 'plenty') {
      return {
        batches: [
          { batch: Buffer.alloc(maxBytes), partition: 1, grant: 9n, leases: [{ first: 3n, end: 5n }] },
        ],
      };
    }
    return new Promise((_, reject) => {
      this.#waiting.add(reject);
      signal?.addEventListener('abort', () => {
        this.life.push('asker gone');
        this.#waiting.delete(reject);
        reject(new SluiceError('CANCELLED', 'gone'));
      });
    });
  }
}

/** Makes fake parts, and keeps them in the order in which they were made. */
export class FakeParts {
  readonly groups: FakePart[] = [];
  readonly queues: FakePart[] = [];

  readonly make: MakeGroupParts = (options): GroupParts => {
    const [groups, queues] = [new FakePart(options), new FakePart(options)];
    this.groups.push(groups);
    this.queues.push(queues);
    return { groups, queues };
  };
}
