import { Violation } from '../violation.ts';

/** A member in one process, while it is told what it may read. */
export interface ToldMember {
  readonly id: string;
  /** What its last answer said. */
  readonly generation: number;
  /** True time up to which its coordinator certainly keeps it, unless it goes or is taken over. */
  readonly validUntilMs: number;
}

/** A partition with an offset. */
export interface PlaceOffset {
  readonly partition: number;
  readonly offset: number;
}

interface Holding {
  readonly memberId: string;
  /** In which it was told so first. */
  readonly generation: number;
  readonly sinceMs: number;
  /** The member has begun anew since, or ended: it holds it no more, and may not commit under it if somebody else does. */
  isOver: boolean;
}

/** What is known of one partition of the source. */
interface PlaceTruth {
  /** The largest offset that somebody was told is committed. */
  floor: number;
  /** Who committed that, if somebody did. */
  floorBy: string;
  /** Commits of which nobody knows how they ended: they may still happen, until another member has been told that it holds the partition. */
  pending: { readonly memberId: string; readonly offset: number }[];
  /** Who has been told, in order; the last of each member. */
  holdings: Holding[];
}

/** What the client of a group may rely on at the moment of asking. */
export type Floors = readonly number[];

/**
 * Knows what the members of the group were told, and throws when two of them could go on with one partition, or when a commit is gone.
 *
 * A member that was not heard of may believe what it likes: it holds nothing any more once its session timeout is over, and what it commits
 * then must be refused as soon as somebody else holds the partition.
 */
export class GroupChecker {
  readonly #places: PlaceTruth[];
  readonly #members = new Map<string, ToldMember>();
  /** Commits that were accepted. */
  commits = 0;
  /** Commits that were refused, as a zombie's are. */
  refusals = 0;
  /** Partitions that somebody was told to begin with. */
  assignments = 0;

  constructor(partitions: number) {
    this.#places = Array.from({ length: partitions }, () => ({
      floor: 0,
      floorBy: '',
      pending: [],
      holdings: [],
    }));
  }

  /** What was committed for sure; to be taken when a question is sent. */
  floors(): Floors {
    return this.#places.map(({ floor }) => floor);
  }

  /** A member has been answered. @param kept what it holds and goes on with */
  heard(member: ToldMember, kept: readonly number[], nowMs: number): void {
    this.#members.set(member.id, member);
    if (member.validUntilMs <= nowMs) return;
    for (const partition of kept) this.#checkAlone(this.#places[partition]!, member, partition, nowMs);
  }

  /** A member may read a partition from now on. @param floors when it asked */
  holds(member: ToldMember, place: PlaceOffset, nowMs: number, floors: Floors): void {
    const { partition, offset } = place;
    const truth = this.#places[partition]!;
    this.#saw(partition, offset, floors);
    // The answer came so late that others may have the partition by now.
    if (member.validUntilMs <= nowMs) return;
    this.assignments++;
    this.#checkAlone(truth, member, partition, nowMs);
    truth.pending = truth.pending.filter(({ memberId }) => memberId === member.id);
    truth.holdings = truth.holdings.filter(({ memberId }) => memberId !== member.id);
    truth.holdings.push({
      memberId: member.id,
      generation: member.generation,
      sinceMs: nowMs,
      isOver: false,
    });
  }

  /** A member reads a partition no more, of its own accord. Another one may now be told. */
  givesUp(memberId: string, partition: number): void {
    this.#end(this.#places[partition]!, memberId);
  }

  /** A member has ended, or knows that it is none. */
  gone(memberId: string): void {
    this.#members.delete(memberId);
    for (const { holdings } of this.#places) {
      for (const one of holdings) if (one.memberId === memberId) one.isOver = true;
    }
  }

  /** Somebody looked at what is committed. @param floors when it asked */
  looked(partition: number, offset: number, floors: Floors): void {
    this.#saw(partition, offset, floors);
  }

  /** A commit is on its way. */
  commitSent(memberId: string, { partition, offset }: PlaceOffset): void {
    this.#places[partition]!.pending.push({ memberId, offset });
  }

  /**
   * A commit was answered.
   * @param generation that went with it
   * @param sentMs when it was sent, true time
   */
  committed(
    memberId: string,
    { partition, offset }: PlaceOffset,
    generation: number,
    sentMs: number,
    isAccepted: boolean,
  ): void {
    const truth = this.#places[partition]!;
    this.#forget(truth, memberId, offset);
    if (!isAccepted) {
      this.refusals++;
      return;
    }
    this.commits++;
    const fence = truth.holdings.find(
      (one) => one.memberId !== memberId && one.sinceMs <= sentMs && one.generation > generation,
    );
    if (fence) {
      throw new Violation(
        'who has lost a partition commits nothing',
        `${memberId} commits ${offset} of p${partition} in ${generation}, ${fence.memberId} has it since ${fence.generation}`,
      );
    }
    // What a member sends at once may come in another order.
    truth.floor = truth.floorBy === memberId ? offset : Math.max(truth.floor, offset);
    truth.floorBy = memberId;
  }

  #checkAlone(
    { holdings }: PlaceTruth,
    { id, generation }: ToldMember,
    partition: number,
    nowMs: number,
  ): void {
    const other = holdings.find(
      ({ memberId, isOver }) => memberId !== id && !isOver && this.#isValid(memberId, nowMs),
    );
    if (!other) return;
    throw new Violation(
      'a partition has one holder',
      `p${partition} is told to ${id} in ${generation}, ${other.memberId} has it since ${other.generation}`,
    );
  }

  #saw(partition: number, offset: number, floors: Floors): void {
    const truth = this.#places[partition]!;
    const floor = floors[partition]!;
    const isLate = truth.pending.some((one) => one.offset === offset);
    if (offset < floor && !isLate) {
      throw new Violation(
        'a committed offset is never lost or moved back',
        `p${partition}: ${offset} after ${floor} was acknowledged`,
      );
    }
    // One on its way that was behind another has come after it: that is what its member did.
    truth.floor = isLate ? offset : Math.max(truth.floor, offset);
  }

  /** The answer to a commit takes one of its kind away. */
  #forget(truth: PlaceTruth, memberId: string, offset: number): void {
    const at = truth.pending.findIndex((one) => one.memberId === memberId && one.offset === offset);
    if (at >= 0) truth.pending.splice(at, 1);
  }

  #isValid(memberId: string, nowMs: number): boolean {
    return (this.#members.get(memberId)?.validUntilMs ?? -Infinity) > nowMs;
  }

  /** It is fenced all the same, by who comes next; only a holder it is no more. */
  #end(truth: PlaceTruth, memberId: string): void {
    truth.holdings = truth.holdings.filter((one) => one.memberId !== memberId);
  }
}
