import { FetchSessions } from '../partition/fetch-sessions.ts';
import type { CopyReadsParts } from './copy-reads.ts';
import { CopyReads } from './copy-reads.ts';
import { LeaderAnswers } from './leader-answers.ts';
import { LedForwards } from './led-forwards.ts';
import type { GroupCoordination, PeerServices } from './ports.ts';

/** What a node does for the others with the replicas that it has. */
export class LocalServices implements PeerServices {
  readonly replication: FetchSessions;
  readonly forwards: LedForwards;
  readonly partitions: LeaderAnswers;
  readonly copies: CopyReads;
  readonly groups: GroupCoordination;

  constructor(parts: CopyReadsParts, groups: GroupCoordination) {
    this.groups = groups;
    this.replication = new FetchSessions(parts);
    this.forwards = new LedForwards(parts.find);
    this.partitions = new LeaderAnswers(parts.find);
    this.copies = new CopyReads(parts);
  }

  /** Answers what other nodes wait for; nobody may ask any more. */
  close(): void {
    this.replication.close();
  }
}
