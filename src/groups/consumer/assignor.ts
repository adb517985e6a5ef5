import type { Place } from './place.ts';

/** Who may get partitions. */
export interface Candidate {
  /** Candidates with the same text take the same topics. */
  readonly filterText: string;
  takes(topic: string): boolean;
}

/** The partitions of one topic that are to be assigned. */
export interface TopicPlaces {
  readonly topic: string;
  readonly places: readonly Place[];
}

/** Topics that the same candidates take; candidates are numbers. */
interface TopicClass {
  readonly candidates: readonly number[];
  /** Which nobody has yet. */
  readonly free: Place[];
  /** Those who have partitions of it. */
  readonly holders: Set<number>;
  /** Holders by what they had when improving began, in all: `[count]`. One whose count has fallen since sinks when it is met. */
  readonly byCount: number[][];
}

/** How a partition would come to whom the search began with: through `to`, for one of another class, or to that one itself. */
interface Hop {
  readonly to: number;
  readonly topicClass: TopicClass;
}

/**
 * Divides partitions among candidates: evenly, keeping what they have, moving little.
 *
 * As even as filters allow: no chain of moves (a gives to b, b to c …) from one to another who has at least two fewer is left. Candidates with
 * equal filters differ by at most one, and then no fewer moves would do. Of equal arguments it makes an equal result.
 *
 * @param candidates in a stable order
 * @param current who has what; who is no candidate any more has nothing
 * @returns for each partition that somebody takes, who
 * @see Harvey, Ladner, Lovász, Tamir: Semi-matchings for bipartite graphs and load balancing; KIP-54 for stickiness
 */
export function assign<C extends Candidate>(
  candidates: readonly C[],
  topics: readonly TopicPlaces[],
  current: ReadonlyMap<Place, C>,
): Map<Place, C> {
  const assignment = new Assignment(candidates, topics);
  assignment.keep(topics, current);
  assignment.giveFree();
  assignment.improve();
  return assignment.result();
}

class Assignment<C extends Candidate> {
  readonly #candidates: readonly C[];
  /** What each has, in all. */
  readonly #counts: number[];
  /** What each has of each class; what it has had before comes first, so that what it got now goes first. */
  readonly #held: Map<TopicClass, Place[]>[];
  readonly #classOf = new Map<string, TopicClass>();
  /** Classes that each takes; those with equal filters share the list. */
  readonly #classesOf: (readonly TopicClass[])[];

  constructor(candidates: readonly C[], topics: readonly TopicPlaces[]) {
    this.#candidates = candidates;
    this.#counts = candidates.map(() => 0);
    this.#held = candidates.map(() => new Map<TopicClass, Place[]>());
    this.#classesOf = this.#classify(topics);
  }

  keep(topics: readonly TopicPlaces[], current: ReadonlyMap<Place, C>): void {
    const numbers = new Map(this.#candidates.map((candidate, number) => [candidate, number]));
    for (const { topic, places } of topics) {
      const topicClass = this.#classOf.get(topic);
      if (!topicClass) continue;
      for (const place of places) {
        const holder = current.get(place);
        const number = holder && numbers.get(holder);
        if (number !== undefined && holder?.takes(topic)) this.#add(number, topicClass, place);
        else topicClass.free.push(place);
      }
    }
  }

  /** To those who have least; first what fewest can take, so that the rest evens it out. */
  giveFree(): void {
    const classes = [...new Set(this.#classOf.values())];
    classes.sort((a, b) => a.candidates.length - b.candidates.length);
    for (const topicClass of classes) this.#giveFreeOf(topicClass);
  }

  /** Beginning with those who have least. */
  improve(): void {
    for (const topicClass of new Set(this.#classOf.values())) {
      for (const holder of topicClass.holders) addTo(topicClass.byCount, this.#counts[holder]!, holder);
    }
    const poorest: number[][] = [];
    for (const [number, count] of this.#counts.entries()) addTo(poorest, count, number);
    const done = new Set<number | TopicClass>();
    for (let count = 0; count < poorest.length; count++) {
      // It grows while it is gone through: who has got one may get another.
      for (let poor = poorest[count]?.pop(); poor !== undefined; poor = poorest[count]?.pop()) {
        const isOver = done.has(poor) || this.#counts[poor] !== count;
        const giver = isOver ? undefined : this.#feed(poor, done);
        if (giver === undefined) continue;
        addTo(poorest, count + 1, poor);
        addTo(poorest, this.#counts[giver]!, giver);
      }
    }
  }

  result(): Map<Place, C> {
    const result = new Map<Place, C>();
    for (const [number, held] of this.#held.entries()) {
      for (const places of held.values()) {
        for (const place of places) result.set(place, this.#candidates[number]!);
      }
    }
    return result;
  }

  /** @returns for each candidate the classes that it takes */
  #classify(topics: readonly TopicPlaces[]): (readonly TopicClass[])[] {
    const byFilter = new Map<string, number[]>();
    for (const [number, { filterText }] of this.#candidates.entries()) {
      const alike = byFilter.get(filterText);
      if (alike) alike.push(number);
      else byFilter.set(filterText, [number]);
    }
    const filters = [...byFilter.values()];
    const classes = new Map<string, TopicClass>();
    const taken: Set<TopicClass>[] = filters.map(() => new Set());
    for (const { topic } of topics) {
      const takers = [...filters.keys()].filter((at) => this.#candidates[filters[at]![0]!]!.takes(topic));
      if (takers.length === 0) continue;
      const name = takers.join();
      let topicClass = classes.get(name);
      if (!topicClass) {
        const candidates = takers.flatMap((at) => filters[at]!);
        classes.set(name, (topicClass = { candidates, free: [], holders: new Set(), byCount: [] }));
      }
      this.#classOf.set(topic, topicClass);
      for (const at of takers) taken[at]!.add(topicClass);
    }
    const classesOf: (readonly TopicClass[])[] = [];
    for (const [at, alike] of filters.entries()) {
      const list = [...taken[at]!];
      for (const number of alike) classesOf[number] = list;
    }
    return classesOf;
  }

  /** Fills like water: all who have least get one each, then they have as much as the next. */
  #giveFreeOf(topicClass: TopicClass): void {
    const { free } = topicClass;
    const order = [...topicClass.candidates].sort((a, b) => this.#counts[a]! - this.#counts[b]!);
    let at = 0;
    while (at < free.length) {
      const level = this.#counts[order[0]!]!;
      for (const number of order) {
        if (at === free.length || this.#counts[number]! > level) break;
        this.#add(number, topicClass, free[at++]!);
      }
    }
  }

  /**
   * Gives one more to who has least of all, by the shortest chain from one with at least two more.
   * @param done what can get no more; where no chain is found, all that was searched is
   * @returns who has one fewer now
   */
  #feed(poor: number, done: Set<number | TopicClass>): number | undefined {
    const enough = this.#counts[poor]! + 2;
    const hops = new Map<number, Hop | undefined>([[poor, undefined]]);
    const searched = new Set<TopicClass>();
    let layer = [poor];
    while (layer.length > 0) {
      const found: Hop[] = [];
      for (const to of layer) {
        for (const topicClass of this.#classesOf[to]!) {
          if (searched.has(topicClass) || done.has(topicClass)) continue;
          searched.add(topicClass);
          found.push({ to, topicClass });
        }
      }
      const richest = this.#richest(found, enough);
      if (richest) {
        this.#move(richest.giver, richest.hop, hops);
        return richest.giver;
      }
      layer = [];
      for (const hop of found) {
        for (const holder of hop.topicClass.holders) {
          if (hops.has(holder)) continue;
          hops.set(holder, hop);
          layer.push(holder);
        }
      }
    }
    for (const number of hops.keys()) done.add(number);
    for (const topicClass of searched) done.add(topicClass);
    return undefined;
  }

  /** Who has most of those who could give over one of some hops. */
  #richest(hops: readonly Hop[], enough: number): { readonly giver: number; readonly hop: Hop } | undefined {
    let best: { readonly giver: number; readonly hop: Hop } | undefined;
    for (const hop of hops) {
      const giver = this.#richestOf(hop.topicClass, enough);
      if (giver === undefined) continue;
      if (!best || this.#counts[giver]! > this.#counts[best.giver]!) best = { giver, hop };
    }
    return best;
  }

  /** Stays where it is found, until its count falls. Who gets something while this goes on never has enough to give. */
  #richestOf({ byCount, holders }: TopicClass, enough: number): number | undefined {
    while (byCount.length > enough) {
      const richest = byCount.at(-1)?.at(-1);
      if (richest === undefined) {
        byCount.pop();
        continue;
      }
      const count = this.#counts[richest]!;
      if (holders.has(richest) && count === byCount.length - 1) return richest;
      byCount.at(-1)!.pop();
      if (holders.has(richest)) addTo(byCount, count, richest);
    }
    return undefined;
  }

  #move(giver: number, first: Hop, hops: ReadonlyMap<number, Hop | undefined>): void {
    let from = giver;
    for (let hop: Hop | undefined = first; hop; hop = hops.get(from)) {
      const places = this.#held[from]!.get(hop.topicClass)!;
      const place = places.pop()!;
      this.#counts[from]! -= 1;
      if (places.length === 0) hop.topicClass.holders.delete(from);
      this.#add(hop.to, hop.topicClass, place);
      from = hop.to;
    }
  }

  #add(number: number, topicClass: TopicClass, place: Place): void {
    const places = this.#held[number]!.get(topicClass);
    if (places) places.push(place);
    else this.#held[number]!.set(topicClass, [place]);
    topicClass.holders.add(number);
    this.#counts[number]! += 1;
  }
}

function addTo(lists: number[][], at: number, number: number): void {
  (lists[at] ??= []).push(number);
}
