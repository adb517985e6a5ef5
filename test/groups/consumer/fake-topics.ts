import type { OpenReader, PublishedAt, TopicFacts, Topics } from '../../../src/groups/ports.ts';
import { SluiceError } from '../../../src/kernel/errors.ts';
import type { Start } from '../../../src/partition/reader.ts';

interface FakeTopic extends TopicFacts {
  readonly partitions: number;
  readonly ends: number[];
}

/** Topics of which only the names and the ends of partitions matter. */
export class FakeTopics implements Topics {
  readonly #topics = new Map<string, FakeTopic>();
  readonly #listeners = new Set<(name: string) => void>();
  #ids = 0;
  /** A partition that cannot be reached. */
  unreachable: number | undefined;
  /** Whether topics are made by themselves. */
  isMaking = true;

  make(name: string, partitions: number, end = 0): void {
    this.#ids += 1;
    const ends = Array.from({ length: partitions }, () => end);
    this.#topics.set(name, { id: `id-${this.#ids}`, name, partitions, ends });
    this.#tell(name);
  }

  grow(name: string, partitions: number): void {
    const topic = this.#find(name);
    const ends = Array.from({ length: partitions }, (_, partition) => topic.ends[partition] ?? 0);
    this.#topics.set(name, { ...topic, partitions, ends });
    this.#tell(name);
  }

  delete(name: string): void {
    this.#topics.delete(name);
    this.#tell(name);
  }

  /** A topic is not heard of for a while. @returns it is, as it was */
  hide(name: string): () => void {
    const topic = this.#find(name);
    this.#topics.delete(name);
    return () => {
      this.#topics.set(name, topic);
      this.#tell(name);
    };
  }

  /** Sets the end of a partition. */
  write(name: string, partition: number, end: number): void {
    this.#find(name).ends[partition] = end;
  }

  find(name: string): TopicFacts | undefined {
    return this.#topics.get(name);
  }

  all(): readonly TopicFacts[] {
    return [...this.#topics.values()];
  }

  watch(listener: (name: string) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Who watches. */
  get watchers(): number {
    return this.#listeners.size;
  }

  findOrCreate(name: string): Promise<TopicFacts> {
    if (!this.#topics.has(name)) {
      if (!this.isMaking) return Promise.reject(new SluiceError('TOPIC_NOT_FOUND', name));
      this.make(name, 1);
    }
    return Promise.resolve(this.#find(name));
  }

  async offsetAt(topic: string, partition: number, start: Start): Promise<number> {
    await Promise.resolve();
    this.#mayRefuse([partition]);
    const end = this.#find(topic).ends[partition]!;
    switch (start.at) {
      case 'earliest':
        return 0;
      case 'offset':
        if (start.offset > end) throw new SluiceError('OFFSET_OUT_OF_RANGE', `${start.offset}`);
        return start.offset;
      default:
        return end;
    }
  }

  async starts(topic: string, partitions: readonly number[]): Promise<readonly number[]> {
    return (await this.ends(topic, partitions)).map(() => 0);
  }

  async ends(topic: string, partitions: readonly number[]): Promise<readonly number[]> {
    await Promise.resolve();
    this.#mayRefuse(partitions);
    return partitions.map((partition) => this.#find(topic).ends[partition]!);
  }

  ensureLike(): Promise<TopicFacts> {
    throw new TypeError('not for consumer groups');
  }

  openReader(): Promise<OpenReader> {
    throw new TypeError('not for consumer groups');
  }

  initProducer(): Promise<number> {
    throw new TypeError('not for consumer groups');
  }

  publish(): Promise<PublishedAt> {
    throw new TypeError('not for consumer groups');
  }

  #find(name: string): FakeTopic {
    const topic = this.#topics.get(name);
    if (!topic) throw new SluiceError('TOPIC_NOT_FOUND', name);
    return topic;
  }

  #mayRefuse(partitions: readonly number[]): void {
    if (this.unreachable !== undefined && partitions.includes(this.unreachable)) {
      throw new SluiceError('UNAVAILABLE', 'as the test wants it');
    }
  }

  #tell(name: string): void {
    for (const listener of this.#listeners) listener(name);
  }
}
