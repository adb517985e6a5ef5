import { SluiceError } from '../../kernel/errors.ts';
import { delay } from '../../kernel/clock.ts';
import type { DeliveryIteration } from '../subscription/delivery-iteration.ts';
import type { Position } from '../subscription/subscribe-options.ts';
import type { GroupEvents } from './events.ts';
import type { PartitionContext } from './partition.ts';
import { GroupPartition } from './partition.ts';

/** What the partitions tell their member. */
export interface PartitionsHost {
  emit<Name extends keyof GroupEvents>(name: Name, event: GroupEvents[Name]): void;
  /** Partitions are about to go to another member: commits what is to be, and resolves when that is stored. Never rejects. */
  beforeGivingUp(): Promise<void>;
}

/** The partitions that a member reads: those assigned to it, and those that it is giving up. */
export class GroupPartitions {
  readonly #context: PartitionContext;
  readonly #iteration: DeliveryIteration;
  readonly #host: PartitionsHost;
  readonly #partitions = new Map<string, GroupPartition>();

  constructor(context: PartitionContext, iteration: DeliveryIteration, host: PartitionsHost) {
    this.#context = context;
    this.#iteration = iteration;
    this.#host = host;
  }

  /** Those given up at the moment included. */
  get owned(): readonly GroupPartition[] {
    return [...this.#partitions.values()];
  }

  /** Where each goes on: after the last record handed out. */
  positions(): readonly Position[] {
    return this.#held.map(({ position }) => position);
  }

  /** Where each that has moved since its last commit may be committed: the record that the application is at is not done yet. */
  processed(): readonly Position[] {
    return this.owned.flatMap((partition) => {
      const { position, committed, progress } = partition;
      const inHand = progress !== undefined && this.#iteration.inHand === progress;
      const offset = inHand ? this.#iteration.inHandOffset : position.offset;
      return offset === committed ? [] : [{ ...position, offset }];
    });
  }

  /** These are committed. */
  committed(positions: readonly Position[]): void {
    for (const position of positions) {
      const partition = this.#partitions.get(keyOf(position));
      if (partition !== undefined) partition.committed = position.offset;
    }
  }

  /** @throws INVALID_ARGUMENT when it is not assigned to this member */
  require(topic: string, partition: number): GroupPartition {
    const found = this.#partitions.get(keyOf({ topic, partition }));
    if (found !== undefined && !found.revoking) return found;
    throw new SluiceError('INVALID_ARGUMENT', `${topic}/${partition} is not assigned to this member`);
  }

  /**
   * Refuses what was handed out before its partition was assigned, or of a log that the partition has no more: somebody else may have come further, or
   * its topic may be another one by now.
   *
   * @param origin see `ReceivedRecord.originOf`
   * @throws STALE_GENERATION
   */
  checkHandedOut(place: { readonly topic: string; readonly partition: number }, origin?: object): void {
    if (this.#partitions.get(keyOf(place))?.hasHandedOut(origin)) return;
    const text = `${keyOf(place)} is not this member's, or has not been all the time since this was handed out`;
    throw new SluiceError('STALE_GENERATION', text);
  }

  /** Begins what is new and gives up what is not there any more. Those in both go on untouched. */
  assign(assigned: readonly Position[]): { readonly changed: boolean; readonly done: Promise<void> } {
    const added = assigned.filter((position) => !this.#partitions.has(keyOf(position)));
    for (const position of added) {
      this.#partitions.set(keyOf(position), new GroupPartition(this.#context, position));
    }
    const wanted = new Set(assigned.map(keyOf));
    const revoked = this.#held.filter((partition) => !wanted.has(keyOf(partition)));
    if (added.length > 0) this.#host.emit('assigned', { partitions: added });
    return { changed: added.length + revoked.length > 0, done: this.#giveUp(revoked) };
  }

  /** All of them are somebody else's already. */
  lose(): void {
    const lost = this.owned;
    for (const partition of lost) partition.close();
    this.#partitions.clear();
    if (lost.length > 0) {
      this.#host.emit('revoked', { partitions: lost.map(({ position }) => position), lost: true });
    }
  }

  /** The buffer has room again. */
  resumeStreams(): void {
    for (const partition of this.#partitions.values()) partition.resumeStreams();
  }

  /** Nothing more is read or handed out; what was processed can still be committed. */
  stop(): void {
    for (const partition of this.#partitions.values()) partition.close();
  }

  close(): void {
    this.stop();
    this.#partitions.clear();
  }

  get #held(): readonly GroupPartition[] {
    return this.owned.filter(({ revoking }) => !revoking);
  }

  async #giveUp(revoked: readonly GroupPartition[]): Promise<void> {
    if (revoked.length === 0) return;
    for (const partition of revoked) {
      partition.revoking = true;
      partition.close();
    }
    const inHand = this.#iteration.inHand;
    if (revoked.some(({ progress }) => progress !== undefined && progress === inHand)) {
      const patience = delay(this.#context.ports.clock, this.#context.plan.revokeTimeoutMs);
      await Promise.race([this.#iteration.whenMoved(), patience]);
    }
    this.#host.emit('revoked', { partitions: revoked.map(({ position }) => position), lost: false });
    await this.#host.beforeGivingUp();
    for (const partition of revoked) {
      // It may have been lost, and assigned anew, meanwhile.
      if (this.#partitions.get(keyOf(partition)) === partition) this.#partitions.delete(keyOf(partition));
    }
  }
}

function keyOf({ topic, partition }: { readonly topic: string; readonly partition: number }): string {
  return `${topic}/${partition}`;
}
