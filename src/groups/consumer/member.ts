import type { MemberFilters } from './member-filters.ts';
import type { MemberPoll } from './member-poll.ts';
import type { Place } from './place.ts';
import type { OffsetStart } from './start.ts';

/** What a member says of itself. */
export interface MemberFacts {
  /** Empty: it is not static. */
  readonly instanceId: string;
  readonly clientId: string;
  readonly filters: MemberFilters;
  readonly sessionTimeoutMs: number;
  /** Where a partition begins for which nothing is committed. */
  readonly start: OffsetStart;
  /** Whose it is; empty: not known. See `GroupAsker.principal`. */
  readonly principal: string;
}

/** What a member may be told: it is stored. */
export interface ToldAssignment {
  /** The generation in which it was made. */
  readonly generation: number;
  readonly places: readonly Place[];
}

/** One member of a consumer group: plain state, which its group changes. */
export class Member implements MemberFacts {
  readonly id: string;
  readonly instanceId: string;
  clientId: string;
  filters: MemberFilters;
  sessionTimeoutMs: number;
  start: OffsetStart;
  principal: string;
  /** What it may read, and the generation in which it got it. May be ahead of what is stored. */
  readonly held = new Map<Place, number>();
  /** What was taken from it, and what it has not given up yet; nobody else has it so long. */
  readonly revoking = new Map<Place, number>();
  /** Generation in which `held` or `revoking` changed last other than by the member giving up. */
  changedGeneration = 0;
  /** Undefined: that there is this member is not stored yet. */
  told: ToldAssignment | undefined;
  /** When it was heard of, monotonic milliseconds. */
  heardMs: number;
  /** Its request that waits. */
  poll: MemberPoll | undefined;

  constructor(id: string, facts: MemberFacts, nowMs: number) {
    this.id = id;
    this.instanceId = facts.instanceId;
    this.clientId = facts.clientId;
    this.filters = facts.filters;
    this.sessionTimeoutMs = facts.sessionTimeoutMs;
    this.start = facts.start;
    this.principal = facts.principal;
    this.heardMs = nowMs;
  }

  /** A name for who takes the same topics: see `Candidate`. */
  get filterText(): string {
    return this.filters.text;
  }

  takes(topic: string): boolean {
    return this.filters.takes(topic);
  }

  /** The generation since which it has a partition, also one that it is giving up; undefined: it has not. */
  sinceOf(place: Place): number | undefined {
    return this.held.get(place) ?? this.revoking.get(place);
  }

  /** When it is out unless it is heard of, monotonic milliseconds. One that is not stored yet waits for the log, not the log for it. */
  get deadlineMs(): number {
    return this.told ? this.heardMs + this.sessionTimeoutMs : Infinity;
  }

  /** Takes what a new request says. @returns whether there is something to store, and whether it takes other topics now */
  update({ clientId, filters, sessionTimeoutMs, start, principal }: MemberFacts): {
    readonly isChanged: boolean;
    readonly takesOthers: boolean;
  } {
    const takesOthers = filters.text !== this.filters.text;
    const isChanged =
      takesOthers ||
      clientId !== this.clientId ||
      principal !== this.principal ||
      sessionTimeoutMs !== this.sessionTimeoutMs ||
      JSON.stringify(start) !== JSON.stringify(this.start);
    if (takesOthers) this.filters = filters;
    this.clientId = clientId;
    this.sessionTimeoutMs = sessionTimeoutMs;
    this.start = start;
    this.principal = principal;
    return { isChanged, takesOthers };
  }
}
