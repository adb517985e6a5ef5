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

  /** @param nowMs when the leader began: until then nobody was behind */
  constructor(nodeId: string, nowMs: number) {
    this.nodeId = nodeId;
    this.#caughtUpMs = nowMs;
    this.#reportedMs = nowMs;
  }

  /**
   * Takes in a report. Whoever has come to where the leader was at its report before had caught up then, so that a follower that keeps pace with
   * a busy leader is never behind, although it never sees the end.
   */
  report(durableOffset: number, leaderEnd: number, nowMs: number): void {
    this.durableOffset = durableOffset;
    if (durableOffset >= leaderEnd) this.#caughtUpMs = nowMs;
    else if (durableOffset >= this.#reportedEnd) this.#caughtUpMs = this.#reportedMs;
    this.#reportedMs = nowMs;
    this.#reportedEnd = leaderEnd;
  }

  /** The leader's durable end was `previousEnd` up to now. */
  leaderMoved(previousEnd: number, nowMs: number): void {
    if (this.durableOffset >= previousEnd) this.#caughtUpMs = nowMs;
  }

  /** Milliseconds since it last had all that the leader had; 0 when it has. */
  lagMs(leaderEnd: number, nowMs: number): number {
    return this.durableOffset >= leaderEnd ? 0 : nowMs - this.#caughtUpMs;
  }
}
