import { isInternalTopic, isTopicName, quoted } from '../../catalog/topic-name.ts';
import type { QueueSettings as WireSettings } from '../../gen/sluice/client/v1/groups_pb.ts';
import type { Timer } from '../../kernel/clock.ts';
import { SluiceError, asSluiceError } from '../../kernel/errors.ts';
import { DEFAULT_QUEUE_GROUP } from '../api.ts';
import { notCoordinator } from '../not-coordinator.ts';
import type { TopicFacts } from '../ports.ts';
import { Queue } from './queue.ts';
import type { QueueContext } from './queue-context.ts';
import { QueueJournal } from './queue-journal.ts';
import { QueuePartition } from './queue-partition.ts';
import type { QueueRecord } from './queue-settings.ts';
import { changeSettings, startOf } from './queue-settings.ts';
import type { StoredQueue } from './stored-queues.ts';
import { partitionKey } from './stored-queues.ts';

const RETRY_MS = 1000;
/** A new queue's grants begin at random below this: half of the numbers there are, and the other half to go on with. */
const FIRST_GRANTS = 2 ** 52;

/** The name of a queue. */
export interface QueueName {
  readonly topic: string;
  /** Empty: `default`. */
  readonly group: string;
}

/** The queues of a coordinator: makes them, and keeps them in step with their topics. */
export class QueueTable {
  readonly #context: QueueContext;
  readonly #queues = new Map<string, Queue>();
  readonly #making = new Map<string, Promise<Queue>>();
  /** Of topics that this node does not know, or not any more. */
  readonly #homeless = new Map<string, StoredQueue>();
  readonly #timers = new Set<Timer>();
  #unwatch: (() => void) | undefined;
  #isClosed = false;

  constructor(context: QueueContext) {
    this.#context = context;
  }

  /** Queues with topics that there are. */
  all(): Queue[] {
    return [...this.#queues.values()];
  }

  /** Makes stored queues live. */
  start(stored: readonly StoredQueue[]): void {
    const { topics } = this.#context;
    this.#unwatch = topics.watch((name) => {
      this.#topicChanged(name);
    });
    for (const queue of stored) this.#restore(queue);
  }

  /** @throws INVALID_ARGUMENT, INVALID_TOPIC, QUEUE_NOT_FOUND */
  get(name: QueueName): Queue {
    checkName(name);
    const queue = this.#queues.get(keyOf(name));
    if (queue) return queue;
    throw new SluiceError('QUEUE_NOT_FOUND', `there is no queue ${quoted(`${name.topic}/${groupOf(name)}`)}`);
  }

  /** As {@link get}; makes the queue where its topic exists. @throws TOPIC_NOT_FOUND; why a queue cannot be made */
  async getOrMake(name: QueueName): Promise<Queue> {
    checkName(name);
    const queue = this.#queues.get(keyOf(name));
    if (queue) return queue;
    if (this.#context.topics.find(name.topic)) return this.make(name);
    throw new SluiceError('TOPIC_NOT_FOUND', `there is no topic ${quoted(name.topic)}`);
  }

  /**
   * The queue, which is made where there is none, as its topic may be; stored soon.
   * @param settings for one that is made
   * @throws INVALID_ARGUMENT, INVALID_TOPIC, OVERLOADED, NOT_LEADER; why the topic cannot be made or read
   */
  async make(name: QueueName, settings?: WireSettings): Promise<Queue> {
    checkName(name);
    const key = keyOf(name);
    const there = this.#queues.get(key) ?? this.#making.get(key);
    if (there) return there;
    const making = this.#make(name, settings).finally(() => this.#making.delete(key));
    this.#making.set(key, making);
    return making;
  }

  /** Forgets a queue, soon also in the log. */
  delete(queue: Queue): void {
    if (this.#queues.get(keyOf(queue)) !== queue) return;
    this.#queues.delete(keyOf(queue));
    this.#context.writer.put(queue.erase());
  }

  /** Idempotent. @param error for those who wait */
  close(error: SluiceError): void {
    this.#isClosed = true;
    this.#unwatch?.();
    for (const timer of this.#timers) timer.cancel();
    for (const queue of this.#queues.values()) queue.close(error);
    this.#queues.clear();
  }

  async #make(name: QueueName, settings: WireSettings | undefined): Promise<Queue> {
    const { topics, budget } = this.#context;
    const given = changeSettings(name.topic, undefined, settings);
    const start = startOf(given.start);
    const { id, partitions } = topics.find(name.topic) ?? (await topics.findOrCreate(name.topic));
    budget.check(name.topic, partitions);
    const cursors = await Promise.all(
      Array.from({ length: partitions }, (_, partition) => topics.offsetAt(name.topic, partition, start)),
    );
    if (this.#isClosed) throw notCoordinator();
    // It is stored, and this node has heard of its topic only now.
    const restored = this.#queues.get(keyOf(name));
    if (restored) return restored;
    const facts = topics.find(name.topic);
    if (facts?.id !== id)
      throw new SluiceError('UNAVAILABLE', 'the topic was deleted while its queue was made');
    // Others may have been made meanwhile.
    budget.check(name.topic, partitions);
    const queue = this.#newQueue({ topic: name.topic, group: groupOf(name) }, { topicId: id, given });
    for (const [partition, cursor] of cursors.entries()) this.#open(queue, partition, cursor);
    // Last: where there is a queue, it is known where it begins.
    this.#context.writer.note({ changes: () => (queue.isClosed ? [] : [queue.stored()]) });
    this.#openMissing(queue, facts);
    return queue;
  }

  #newQueue({ topic, group }: QueueName, record: QueueRecord): Queue {
    const queue = new Queue({
      context: this.#context,
      topic,
      group,
      record,
      onOutOfRange: (one, partition) => {
        void this.#beginAnew(one, partition);
      },
    });
    this.#queues.set(keyOf(queue), queue);
    return queue;
  }

  #open(queue: Queue, partition: number, cursor: number): void {
    const firstGrant = Math.floor(this.#context.random.fraction() * FIRST_GRANTS);
    const state = new QueuePartition(cursor, queue.settings, firstGrant);
    queue.open(partition, new QueueJournal(partitionKey(`q/${keyOf(queue)}`, partition), state));
  }

  #restore(stored: StoredQueue): void {
    const { topic, group, record } = stored;
    const facts = this.#context.topics.find(topic);
    if (!facts || !record) {
      // Perhaps this node only has not heard of the topic yet.
      this.#homeless.set(`${topic}/${group}`, stored);
      return;
    }
    if (facts.id !== record.topicId) {
      this.#context.writer.put(stored.erase());
      return;
    }
    const queue = this.#newQueue({ topic, group }, record);
    for (const [partition, journal] of stored.journals(record)) queue.open(partition, journal);
    this.#openMissing(queue, facts);
  }

  #topicChanged(name: string): void {
    const facts = this.#context.topics.find(name);
    for (const queue of this.all()) {
      if (queue.topic !== name) continue;
      if (facts?.id === queue.topicId) this.#openMissing(queue, facts);
      else this.delete(queue);
    }
    for (const [key, stored] of this.#homeless) {
      if (stored.topic !== name || !facts) continue;
      this.#homeless.delete(key);
      if (this.#queues.has(key)) continue;
      this.#restore(stored);
    }
  }

  /** Partitions that came later begin with their first record. */
  #openMissing(queue: Queue, { partitions }: TopicFacts): void {
    for (let partition = 0; partition < partitions; partition++) {
      if (!queue.work(partition)) void this.#openLate(queue, partition);
    }
  }

  async #openLate(queue: Queue, partition: number): Promise<void> {
    try {
      const cursor = await this.#context.topics.offsetAt(queue.topic, partition, { at: 'earliest' });
      if (!queue.isClosed && !queue.work(partition)) this.#open(queue, partition, cursor);
    } catch (error) {
      const { topic, group } = queue;
      const trouble = {
        work: 'new-partition',
        topic,
        group,
        partition,
        error: asSluiceError(error),
      } as const;
      if (!queue.isClosed) this.#context.onTrouble(trouble);
      this.#later(() => {
        if (!queue.isClosed && !queue.work(partition)) void this.#openLate(queue, partition);
      });
    }
  }

  /** The log has lost what the queue knew of: it goes on with what is left, from its floor, and delivers again what it knows no better. */
  async #beginAnew(queue: Queue, partition: number): Promise<void> {
    const { topics, writer } = this.#context;
    try {
      const [end = 0] = await topics.ends(queue.topic, [partition]);
      const work = queue.work(partition);
      if (!work || queue.isClosed || end >= work.runner.state.cursor) return;
      writer.put(work.runner.journal.erase());
      this.#open(queue, partition, Math.min(end, work.runner.state.floor));
    } catch {
      // Its readers go on trying, and find it again.
    }
  }

  #later(work: () => void): void {
    if (this.#isClosed) return;
    const timer = this.#context.clock.setTimer(RETRY_MS, () => {
      this.#timers.delete(timer);
      work();
    });
    this.#timers.add(timer);
  }
}

/** The group of a queue. */
export function groupOf({ group }: QueueName): string {
  return group || DEFAULT_QUEUE_GROUP;
}

function keyOf(name: QueueName): string {
  return `${name.topic}/${groupOf(name)}`;
}

function checkName(name: QueueName): void {
  if (!isTopicName(name.topic) || isInternalTopic(name.topic)) {
    throw new SluiceError('INVALID_TOPIC', `${quoted(name.topic)} is no topic that can be a queue`);
  }
  const group = groupOf(name);
  if (!isTopicName(group))
    throw new SluiceError('INVALID_ARGUMENT', `${quoted(group)} is no name of a group`);
}
