import type { Cluster, PartitionEntry, PartitionState, UpdateResult } from '../coordination/cluster.ts';
import type { Clock, Timer } from '../kernel/clock.ts';
import { SluiceError } from '../kernel/errors.ts';

/** After a proposal of which nobody knows what became of it. */
const RETRY_MS = 500;

/** What a set of in-sync replicas begins with. */
export interface InsyncStart {
  /** Claimed by this node. */
  readonly epoch: number;
  readonly selfId: string;
  readonly replicas: readonly string[];
  readonly isr: readonly string[];
  /** Of the state that says so. */
  readonly revision: number;
  readonly cluster: Pick<Cluster, 'leaseHeld' | 'updatePartition' | 'readPartition'>;
}

/** Who is told of changes; may end the set in it. */
export interface InsyncOwner {
  readonly clock: Clock;
  readonly topicId: string;
  readonly partition: number;
  /** The stored state, what is proposed, or whether a proposal is under way has changed; or it is time to try again. */
  insyncChanged(): void;
  /** There is another leader, or a later epoch, or the topic is gone. */
  superseded(reason: SluiceError): void;
}

/**
 * The in-sync replicas of one epoch: those that are stored, and those that may be because this leader has proposed them.
 *
 *     stored {a b c} rev 5 ── propose {a b} ──┬─ updated, rev 6 ─> {a b}
 *                             maximal {a b c} ├─ conflict ───────> what is stored now
 *                                             └─ no answer ──────> maximal stays {a b c}; propose again with rev 5, until the revision has moved
 *
 * A proposal can only take effect at the revision that it names: when that is past, what became of it is known.
 */
export class InsyncSet {
  readonly #start: InsyncStart;
  readonly #owner: InsyncOwner;
  #stored: Pick<PartitionState, 'replicas' | 'isr'>;
  #revision: number;
  #maximal: readonly string[];
  #isUnsure = false;
  #isAsking = false;
  #retry: Timer | undefined;
  #ended = false;

  constructor(start: InsyncStart, owner: InsyncOwner) {
    this.#start = start;
    this.#owner = owner;
    this.#stored = { replicas: start.replicas, isr: start.isr };
    this.#revision = start.revision;
    this.#maximal = start.isr;
  }

  get replicas(): readonly string[] {
    return this.#stored.replicas;
  }

  /** As stored, as far as is known here. */
  get stored(): readonly string[] {
    return this.#stored.isr;
  }

  /** All that may be stored: what is acknowledged has to be with all of them. */
  get maximal(): readonly string[] {
    return this.#maximal;
  }

  /** A proposal waits for its answer, or for being made again: no other can be made. */
  get isBusy(): boolean {
    return this.#isAsking || this.#retry !== undefined;
  }

  /** An earlier proposal may yet take effect, so that the next has to be made even if it changes nothing. */
  get isUnsure(): boolean {
    return this.#isUnsure;
  }

  /** Asks for `isr` to be stored. Only when not {@link isBusy}. */
  propose(isr: readonly string[]): void {
    const { cluster, selfId, epoch } = this.#start;
    const { topicId, partition } = this.#owner;
    this.#isAsking = true;
    this.#isUnsure = true;
    this.#maximal = [...new Set([...this.#maximal, ...isr])];
    const state = { replicas: this.#stored.replicas, leader: selfId, leaderEpoch: epoch, isr };
    cluster.updatePartition(topicId, partition, this.#revision, state).then(
      (result) => this.#answered(result),
      () => this.#unanswered(),
    );
  }

  /** Takes over a state that is stored; one that is not newer is none. */
  take(entry: PartitionEntry): void {
    if (this.#ended || entry.revision <= this.#revision) return;
    const { state, revision } = entry;
    if (state.leader !== this.#start.selfId || state.leaderEpoch !== this.#start.epoch) {
      this.#supersede(`epoch ${state.leaderEpoch} of ${state.leader ?? 'nobody'} has begun`);
      return;
    }
    this.#stored = state;
    this.#revision = revision;
    this.#maximal = state.isr;
    this.#isUnsure = false;
    this.#retry?.cancel();
    this.#retry = undefined;
    this.#owner.insyncChanged();
  }

  /** Tells nobody anything any more. */
  end(): void {
    this.#ended = true;
    this.#retry?.cancel();
    this.#retry = undefined;
  }

  #answered(result: UpdateResult): void {
    this.#isAsking = false;
    if (this.#ended) return;
    const entry = result.kind === 'updated' ? result.entry : result.current;
    if (!entry) this.#supersede('the topic is gone');
    else if (entry.revision > this.#revision) this.take(entry);
    else this.#goOn();
  }

  #unanswered(): void {
    this.#isAsking = false;
    if (!this.#ended) this.#goOn();
  }

  /** What has been proposed is old by now, or has to be proposed again, a little later. */
  #goOn(): void {
    if (!this.#isUnsure) {
      this.#owner.insyncChanged();
      return;
    }
    this.#retry = this.#owner.clock.setTimer(RETRY_MS, () => {
      this.#retry = undefined;
      this.#owner.insyncChanged();
    });
  }

  #supersede(why: string): void {
    this.end();
    const { selfId, epoch } = this.#start;
    this.#owner.superseded(
      new SluiceError('NOT_LEADER', `${selfId} leads no more in epoch ${epoch}: ${why}`),
    );
  }
}
