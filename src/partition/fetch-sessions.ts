import type { FetchSessionParts } from './fetch-session.ts';
import { FetchSession, sessionOver } from './fetch-session.ts';
import type { FetchRequest, FetchResponse, ReplicationServer } from './replication.ts';

/** All that other nodes fetch here: one session for each of them. */
export class FetchSessions implements ReplicationServer {
  readonly #parts: FetchSessionParts;
  readonly #sessions = new Map<string, FetchSession>();
  #lastId = 0;

  constructor(parts: FetchSessionParts) {
    this.#parts = parts;
  }

  /** Nodes that have one. */
  get size(): number {
    return this.#sessions.size;
  }

  /** Partitions in all of them together. */
  get partitions(): number {
    let partitions = 0;
    for (const session of this.#sessions.values()) partitions += session.size;
    return partitions;
  }

  fetch(fromNodeId: string, request: FetchRequest): Promise<FetchResponse> {
    if (request.sequence === 0) return this.#begin(fromNodeId).fetch(request);
    const session = this.#sessions.get(fromNodeId);
    if (session?.id !== request.sessionId) return Promise.resolve(sessionOver(request));
    if (session.nextSequence === request.sequence) return session.fetch(request);
    // One has been lost: what this session takes for said may not have been heard.
    this.forget(fromNodeId);
    return Promise.resolve(sessionOver(request));
  }

  forget(fromNodeId: string): void {
    this.#sessions.get(fromNodeId)?.close();
    this.#sessions.delete(fromNodeId);
  }

  /** Ends all sessions. */
  close(): void {
    for (const nodeId of [...this.#sessions.keys()]) this.forget(nodeId);
  }

  #begin(nodeId: string): FetchSession {
    this.forget(nodeId);
    const session = new FetchSession(++this.#lastId, nodeId, this.#parts);
    this.#sessions.set(nodeId, session);
    return session;
  }
}
