import type { FetchRequest, FetchResponse, ReplicationClient } from '../partition/replication.ts';

/**
 * Replication that waits until the node has started. From a follower's first fetch on it is soon in sync, and then every `acks: all` waits for it: a node that
 * still has other things to do would hold up all publishers of its partitions.
 */
export class HeldReplication implements ReplicationClient {
  readonly #client: ReplicationClient;
  readonly #begun = Promise.withResolvers<undefined>();
  #hasBegun = false;

  constructor(client: ReplicationClient) {
    this.#client = client;
  }

  /** Lets what waits, and what comes, go. Idempotent. */
  begin(): void {
    this.#hasBegun = true;
    this.#begun.resolve(undefined);
  }

  /** A follower that is closed before replication begins does not wait for the answer. */
  fetch(nodeId: string, request: FetchRequest): Promise<FetchResponse> {
    if (this.#hasBegun) return this.#client.fetch(nodeId, request);
    return this.#begun.promise.then(() => this.#client.fetch(nodeId, request));
  }
}
