import type { FetchSessions } from '../../src/partition/fetch-sessions.ts';
import type { FetchPosition, FetchRequest, FetchResponse } from '../../src/partition/replication.ts';
import { turns } from '../support/turns.ts';
import { describePartition } from './describe-partition.ts';

/** Leader epoch of the partitions that are fetched. */
export const EPOCH = 5;

/** A follower that has everything durable below `fetchOffset`, which that leader wrote, and whose copy is read. */
export function at(partition: number, fetchOffset: number, more: Partial<FetchPosition> = {}): FetchPosition {
  const lastEpoch = fetchOffset > 0 ? EPOCH : -1;
  return {
    ...{ topicId: 't1', partition, leaderEpoch: EPOCH, fetchOffset, durableOffset: fetchOffset, lastEpoch },
    ...{ durableStart: 0, unread: false },
    ...more,
  };
}

/** A node that fetches; it knows the responses that it was given, unless it says otherwise. */
export class FetchingNode {
  sessionId = 0;
  sequence = 0;
  received = -1;
  readonly #nodeId: string;
  readonly #leader: FetchSessions;

  constructor(nodeId: string, leader: FetchSessions) {
    this.#nodeId = nodeId;
    this.#leader = leader;
  }

  /** @returns the response; it has no `sequence` before it has come */
  ask(changed: readonly FetchPosition[] = [], more: Partial<FetchRequest> = {}): Asked {
    const { sessionId, received } = this;
    const request = {
      ...{ sessionId, sequence: this.sequence++, received, changed, forgotten: [] },
      ...{ maxBytes: 1024 * 1024, maxWaitMs: 500 },
    };
    return new Asked(this.#leader.fetch(this.#nodeId, { ...request, ...more }), (response) => {
      this.sessionId = response.sessionId;
      this.received = Math.max(this.received, response.sequence);
    });
  }
}

/** A request that may wait. */
export class Asked {
  response: FetchResponse | undefined;

  constructor(response: Promise<FetchResponse>, took: (response: FetchResponse) => void) {
    void response.then((one) => {
      this.response = one;
      took(one);
    });
  }

  /** What has been answered by now, as `partition: what`. */
  async now(): Promise<string[] | 'waits'> {
    await turns(2);
    return this.response ? this.response.partitions.map(describePartition) : 'waits';
  }
}
