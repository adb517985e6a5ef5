import { GroupState } from '../../../src/groups/consumer/group-state.ts';
import { Member } from '../../../src/groups/consumer/member.ts';
import { Ownership } from '../../../src/groups/consumer/ownership.ts';
import { QueueJournal } from '../../../src/groups/queue/queue-journal.ts';
import { QueuePartition } from '../../../src/groups/queue/queue-partition.ts';
import { StateWriter } from '../../../src/groups/state-writer.ts';
import type { Mutation } from '../mutations.ts';
import { replace } from '../mutations.ts';
import type { GroupSimOptions } from './group-plan.ts';

/** A record of changes is lost each so many times. */
const LOSE_EVERY = 7;

/** Bugs of the kind that coordinators of groups and queues have had. Each of them has to be found; see group-mutations.test.ts. */
export const GROUP_MUTATIONS: readonly Mutation<GroupSimOptions>[] = [
  {
    name: 'leases and settlements are answered before they are stored',
    apply: () => replace(StateWriter.prototype, 'stored', () => () => Promise.resolve()),
  },
  {
    name: 'assignments and commits are answered before they are stored',
    apply: () =>
      replace(
        StateWriter.prototype,
        'append',
        (append) =>
          function (this: StateWriter, records): Promise<void> {
            append.call(this, records).catch(() => undefined);
            return Promise.resolve();
          },
      ),
  },
  {
    name: 'a member commits what it has lost',
    apply: () =>
      replace(
        Member.prototype,
        'sinceOf',
        (sinceOf) =>
          function (this: Member, place): number {
            return sinceOf.call(this, place) ?? 0;
          },
      ),
  },
  {
    name: 'a partition moves before its member has given it up',
    apply: () =>
      replace(
        Ownership.prototype,
        'ungranted',
        () =>
          function* (this: Ownership) {
            for (const entry of this.target) if (this.ownerOf(entry[0]) !== entry[1]) yield entry;
          },
      ),
  },
  {
    name: 'members are forgotten with their coordinator',
    apply: () =>
      replace(
        GroupState.prototype,
        'restore',
        (restore) =>
          function (this: GroupState, loaded, places, nowMs): void {
            restore.call(this, { ...loaded, members: new Map() }, places, nowMs);
          },
      ),
  },
  {
    name: 'a change of a queue is not stored',
    apply: () => {
      let count = 0;
      return replace(
        QueueJournal.prototype,
        'changes',
        (changes) =>
          function (this: QueueJournal) {
            const records = changes.call(this);
            return ++count % LOSE_EVERY === 0 ? [] : records;
          },
      );
    },
  },
  {
    name: 'leases end with their coordinator',
    apply: () =>
      replace(
        QueuePartition.prototype,
        'start',
        (start) =>
          function (this: QueuePartition, now, term): void {
            start.call(this, now, term);
            this.expire({ ...now, steadyMs: Infinity });
          },
      ),
  },
  {
    name: 'who goes on with a dead letter that was begun begins it anew',
    apply: () =>
      replace(
        QueuePartition.prototype,
        'moves',
        (moves) =>
          function (this: QueuePartition) {
            for (const { id } of moves.call(this)) this.cancelMove(id);
            return [];
          },
      ),
  },
  {
    name: 'a dead letter is done before it is published',
    apply: () =>
      replace(
        QueuePartition.prototype,
        'beginMove',
        (beginMove) =>
          function (this: QueuePartition, intent) {
            const move = beginMove.call(this, intent);
            if (move) this.endMove(move.id);
            return move;
          },
      ),
  },
];
