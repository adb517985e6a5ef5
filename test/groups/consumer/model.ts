import { expect } from 'vitest';
import { StateReader } from '../../../src/groups/consumer/stored-state.ts';
import { SluiceError } from '../../../src/kernel/errors.ts';
import type { Joined } from './stage.ts';
import { START, Stage, placeOf } from './stage.ts';

const SESSION_TIMEOUT_MS = 3000;
const MAX_WAIT_MS = 500;

/** A client as the documents ask for: it stops what is taken from it before it says so, and when it has not been heard of for too long. */
export class ModelMember {
  readonly id: string;
  readonly instanceId: string;
  readonly filters: readonly string[];
  generation = 0;
  /** What it reads, also what it has not stopped reading yet. */
  readonly reading = new Set<string>();
  /** What it may read. */
  assigned: ReadonlySet<string> = new Set();
  /** When it sent the last request that was answered. */
  sentMs = 0;
  /** It has a request that waits. */
  isAsking = false;
  /** The answer of its request does not reach it. */
  isDeaf = false;
  /** It does nothing by itself any more, but may wake. */
  isFrozen = false;
  /** A request that it sent earlier. */
  last: { readonly generation: number; readonly owned: readonly string[] } | undefined;

  constructor(id: string, instanceId: string, filters: readonly string[]) {
    this.id = id;
    this.instanceId = instanceId;
    this.filters = filters;
  }

  takes(topic: string): boolean {
    return this.filters.includes(topic) || this.filters.includes('*');
  }

  /** It is none any more, as far as it knows. */
  forget(): void {
    this.generation = 0;
    this.assigned = new Set();
    this.reading.clear();
  }
}

/** Some clients, one coordinator after another, and what must hold between them. */
export class Model {
  readonly stage = new Stage();
  /** Those that run. */
  readonly members = new Map<string, ModelMember>();
  /** What was committed and acknowledged, by place. Offsets only rise here. */
  readonly acknowledged = new Map<string, number>();
  /** What went wrong while nobody waited for it. */
  readonly #faults: unknown[] = [];
  #offset = 0;
  #names = 0;

  constructor() {
    this.stage.topics.make('t', 4);
  }

  member(number: number): ModelMember | undefined {
    const all = [...this.members.values()];
    return all[number % Math.max(1, all.length)];
  }

  add(instanceId: string, filters: readonly string[]): ModelMember {
    this.#names += 1;
    const member = new ModelMember(`m${this.#names}`, instanceId, filters);
    this.members.set(member.id, member);
    return member;
  }

  /** The member asks, and takes the answer when it comes. */
  ask(member: ModelMember): void {
    const owned = [...member.reading];
    member.last = { generation: member.generation, owned };
    member.isAsking = true;
    const sentMs = this.stage.clock.monotonicMs();
    const answered = this.#send(member, member.last).then((answer) => {
      member.isAsking = false;
      const isHeard = !member.isDeaf && this.members.has(member.id);
      member.isDeaf = false;
      if (!isHeard) return;
      if (answer instanceof SluiceError) {
        expect(['UNKNOWN_MEMBER', 'CANCELLED', 'NOT_LEADER', 'NOT_ENOUGH_REPLICAS']).toContain(answer.code);
        if (answer.code === 'UNKNOWN_MEMBER') member.forget();
      } else if (!this.#isOut(member, sentMs)) {
        this.#take(member, answer, sentMs);
      }
    });
    this.#note(answered);
  }

  /** An earlier request of the member arrives once more; nobody hears the answer. */
  repeat({ id, last }: ModelMember): void {
    const member = this.members.get(id)!;
    if (last) this.#note(this.#send(member, last).then(() => undefined));
  }

  /** The member stops reading what is not its own any more. */
  stopReading(member: ModelMember): void {
    for (const place of member.reading) if (!member.assigned.has(place)) member.reading.delete(place);
  }

  commit(member: ModelMember): void {
    for (const place of member.reading) {
      this.#offset += 1;
      const offset = this.#offset;
      const { id } = this.topicOf(place);
      const committed = this.stage.commit(member.id, member.generation, place, offset).then(
        (code) => {
          if (code !== 0 || this.topicOf(place).id !== id) return;
          this.acknowledged.set(place, Math.max(offset, this.acknowledged.get(place) ?? 0));
        },
        (error: unknown) => expect(error).toBeInstanceOf(SluiceError),
      );
      this.#note(committed);
    }
  }

  /** A member that was frozen, and whose partition another reads, commits: that must not be taken. */
  async commitLate(member: ModelMember): Promise<void> {
    for (const place of member.reading) {
      const isTaken = [...this.members.values()].some(
        (other) => other !== member && !other.isFrozen && other.reading.has(place),
      );
      if (!isTaken) continue;
      const commit = this.stage.commit(member.id, member.generation, place, 1).catch(() => -1);
      await this.stage.pass();
      this.stage.log.release();
      expect(await commit).not.toBe(0);
    }
  }

  topicOf(place: string): { readonly id: string } {
    return { id: this.stage.topics.find(placeOf(place).topic)?.id ?? '' };
  }

  leave(member: ModelMember, returning: boolean): void {
    this.members.delete(member.id);
    this.stage.leave(member.id, returning).catch(() => undefined);
  }

  /** Another coordinator leads. */
  lead(): void {
    this.stage.lead();
  }

  deleteTopic(topic: string): void {
    this.stage.topics.delete(topic);
    for (const place of this.acknowledged.keys()) {
      if (placeOf(place).topic === topic) this.acknowledged.delete(place);
    }
    // Reading ends by itself.
    for (const { reading } of this.members.values()) {
      for (const place of reading) if (placeOf(place).topic === topic) reading.delete(place);
    }
  }

  /** What must hold at all times. */
  check(): void {
    if (this.#faults.length > 0) throw this.#faults[0];
    const readers = new Map<string, string>();
    for (const member of this.members.values()) {
      const isOut = this.#isOut(member, member.sentMs);
      // Who is frozen does not notice; what it reads, it reads no more.
      if (isOut && !member.isFrozen) member.forget();
      if (isOut) continue;
      for (const place of member.reading) {
        const other = readers.get(place);
        if (other !== undefined) throw new Error(`${place} is read by ${other} and ${member.id}`);
        readers.set(place, member.id);
      }
    }
  }

  /** All wake, or are gone, and ask until nothing changes; then all is divided evenly, and stays. */
  async settle(): Promise<void> {
    for (const member of this.members.values()) if (member.isFrozen) this.members.delete(member.id);
    this.stage.log.resume();
    await this.#rounds(24);
    this.#checkDivided();
    const before = this.#assignments();
    const { generation } = await this.stage.describe().catch(() => ({ generation: 0 }));
    await this.#rounds(3);
    this.lead();
    await this.#rounds(12);
    expect(this.#assignments()).toEqual(before);
    if (this.members.size === 0) return;
    expect((await this.stage.describe()).generation).toBe(generation);
    const committed = await this.stage.committed();
    for (const [place, offset] of this.acknowledged) {
      expect(committed[place], place).toBeGreaterThanOrEqual(offset);
    }
  }

  #note(work: Promise<void>): void {
    work.catch((error: unknown) => this.#faults.push(error));
  }

  async #rounds(count: number): Promise<void> {
    for (let round = 0; round < count; round++) {
      for (const member of this.members.values()) {
        this.stopReading(member);
        if (!member.isAsking) this.ask(member);
      }
      await this.stage.pass(MAX_WAIT_MS + 1);
      this.check();
    }
  }

  #assignments(): Record<string, string[]> {
    const all = Array.from(this.members.values(), ({ id, reading }) => [id, [...reading].sort()] as const);
    return Object.fromEntries(all);
  }

  #checkDivided(): void {
    const members = [...this.members.values()];
    for (const { name, partitions } of this.stage.topics.all()) {
      const takers = members.filter((member) => member.takes(name));
      for (let partition = 0; partition < partitions; partition++) {
        const readers = members.filter(({ reading }) => reading.has(`${name}/${partition}`));
        expect(readers, `${name}/${partition}`).toHaveLength(takers.length > 0 ? 1 : 0);
        expect(takers).toEqual(expect.arrayContaining(readers));
      }
    }
    for (const alike of Map.groupBy(members, ({ filters }) => filters.join()).values()) {
      const counts = alike.map(({ reading }) => reading.size);
      expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
    }
  }

  #isOut({ generation }: ModelMember, sentMs: number): boolean {
    return generation !== 0 && this.stage.clock.monotonicMs() - sentMs >= SESSION_TIMEOUT_MS;
  }

  async #send(
    member: ModelMember,
    { generation, owned }: NonNullable<ModelMember['last']>,
  ): Promise<Joined | SluiceError> {
    try {
      return await this.stage.join(member.id, {
        ...{ generation, owned: owned.map(placeOf), filters: [...member.filters], start: START.earliest },
        ...{ instanceId: member.instanceId, sessionTimeoutMs: SESSION_TIMEOUT_MS, maxWaitMs: MAX_WAIT_MS },
      });
    } catch (error) {
      if (error instanceof SluiceError) return error;
      throw error;
    }
  }

  #take(member: ModelMember, { generation, assigned }: Joined, sentMs: number): void {
    this.#checkStored(member, assigned);
    expect(generation).toBeGreaterThanOrEqual(member.generation);
    member.generation = generation;
    member.sentMs = sentMs;
    member.assigned = new Set(assigned.keys());
    for (const [place, offset] of assigned) {
      if (this.topicOf(place).id === '') continue;
      if (!member.reading.has(place))
        expect(offset).toBeGreaterThanOrEqual(this.acknowledged.get(place) ?? 0);
      member.reading.add(place);
    }
  }

  /** What is told is stored: a coordinator that came now would know it. */
  #checkStored({ id }: ModelMember, assigned: ReadonlyMap<string, number>): void {
    const reader = new StateReader();
    for (const { key, value } of this.stage.state.stored) reader.take(key.split('/'), value);
    const group = reader.groups().get('g');
    const stored = [...(group?.members.values() ?? [])].find(({ memberId }) => memberId === id);
    const held = stored?.held.flatMap(({ topic, partitions }) => partitions.map((one) => `${topic}/${one}`));
    for (const [place, offset] of assigned) {
      if (this.topicOf(place).id === '') continue;
      expect(held).toContain(place);
      expect(group?.offsets.get(place)?.offset).toBeGreaterThanOrEqual(offset);
    }
  }
}
