/** What a follower has to delete, and since when. */
interface Deletion {
  /** Exclusive. */
  readonly below: number;
  readonly sinceMs: number;
}

/** How far one follower has come in one epoch, as the leader has been told. */
export class FollowerProgress {
  readonly nodeId: string;
  /** Exclusive; -1: it has said nothing in this epoch, or has what the leader has not. */
  durableOffset = -1;
  /** Nothing below it comes back there; -1: it has said nothing in this epoch. */
  durableStart = -1;
  /** When it last had all that the leader had. */
  #caughtUpMs: number;
  #reportedMs: number;
  /** The leader's durable end at the last report. */
  #reportedEnd = Infinity;
  /** What it has not said to have deleted; undefined: nothing. */
  #deleting: Deletion | undefined;
  /** What was deleted after that: its time counts from the first of it. */
  #deletingNext: Deletion | undefined;

  /** @param nowMs when the leader began: until then nobody was behind */
  constructor(nodeId: string, nowMs: number) {
    this.nodeId = nodeId;
    this.#caughtUpMs = nowMs;
    this.#reportedMs = nowMs;
  }

  /**
   * Takes in a report. Whoever has come to where the leader was at its report before had caught up then, so that a follower that keeps pace with
   * a busy leader is never behind, although it never sees the end. The same holds for what is deleted.
   *
   * @returns whether more is deleted there for good than before
   */
  report(durableOffset: number, durableStart: number, leaderEnd: number, nowMs: number): boolean {
    const isFurther = durableStart > this.durableStart;
    this.durableOffset = durableOffset;
    this.durableStart = durableStart;
    if (this.#deleting && durableStart >= this.#deleting.below) this.#goOnDeleting();
    if (durableOffset >= leaderEnd) this.#caughtUpMs = nowMs;
    else if (durableOffset >= this.#reportedEnd) this.#caughtUpMs = this.#reportedMs;
    this.#reportedMs = nowMs;
    this.#reportedEnd = leaderEnd;
    return isFurther;
  }

  /** The leader has deleted what is below `offset`. */
  deletedBelow(offset: number, nowMs: number): void {
    if (offset <= this.durableStart) return;
    if (!this.#deleting) this.#deleting = { below: offset, sinceMs: nowMs };
    else if (offset > Math.max(this.#deleting.below, this.#deletingNext?.below ?? 0)) {
      this.#deletingNext = { below: offset, sinceMs: this.#deletingNext?.sinceMs ?? nowMs };
    }
  }

  /** The leader's durable end was `previousEnd` up to now. */
  leaderMoved(previousEnd: number, nowMs: number): void {
    if (this.durableOffset >= previousEnd) this.#caughtUpMs = nowMs;
  }

  /** It has not all that the leader has, or may still have what was deleted. */
  isBehind(leaderEnd: number): boolean {
    return this.durableOffset < leaderEnd || this.#deleting !== undefined;
  }

  /** Milliseconds since it last had all that the leader had, and nothing that was deleted; 0 when that is so now. */
  lagMs(leaderEnd: number, nowMs: number): number {
    const recordsMs = this.durableOffset >= leaderEnd ? 0 : nowMs - this.#caughtUpMs;
    return Math.max(recordsMs, this.#deleting ? nowMs - this.#deleting.sinceMs : 0);
  }

  #goOnDeleting(): void {
    const next = this.#deletingNext;
    this.#deleting = next && next.below > this.durableStart ? next : undefined;
    this.#deletingNext = undefined;
  }
}
