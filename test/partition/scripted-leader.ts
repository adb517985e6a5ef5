import type { SluiceError } from '../../src/kernel/errors.ts';
import type {
  FetchRequest,
  FetchResponse,
  FetchedPartition,
  ReplicationClient,
} from '../../src/partition/replication.ts';

/** A request that waits for its answer. */
export interface OpenRequest extends FetchRequest {
  /** Says something of partitions, or nothing. */
  answer(...partitions: readonly Partial<FetchedPartition>[]): void;
  /** The session is not known. */
  lose(): void;
  fail(error: SluiceError): void;
}

/** A leader that a test answers for. */
export class ScriptedLeader implements ReplicationClient {
  readonly sessionId = 77;
  /** All, in order of arrival. */
  readonly requests: OpenRequest[] = [];
  #answered = 0;

  fetch(_nodeId: string, request: FetchRequest): Promise<FetchResponse> {
    const { promise, resolve, reject } = Promise.withResolvers<FetchResponse>();
    const { sessionId } = this;
    const { sequence } = request;
    const done = (): void => {
      this.#answered++;
    };
    this.requests.push({
      ...request,
      answer: (...partitions) => {
        done();
        resolve({ sessionId, sequence, partitions: partitions.map(fetched) });
      },
      lose: () => {
        done();
        resolve({ sessionId: 0, sequence, error: 'CLOSED', partitions: [] });
      },
      fail: (error) => {
        done();
        reject(error);
      },
    });
    return promise;
  }

  /** Requests that have no answer yet. */
  get outstanding(): number {
    return this.requests.length - this.#answered;
  }

  get last(): OpenRequest {
    return this.requests.at(-1)!;
  }
}

/** What a leader says of a partition, with nothing new where nothing is given. */
export function fetched(parts: Partial<FetchedPartition>): FetchedPartition {
  const base = { topicId: 't', partition: 0, leaderEpoch: 5, batches: [] };
  return { ...base, logStart: 0, logEnd: 0, highWatermark: 0, ...parts };
}
