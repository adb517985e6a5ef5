import type { ClusterNode, PartitionState } from '../coordination/cluster.ts';
import type { Memory } from './plan-input.ts';
import { isReady } from './plan-input.ts';

interface Naming {
  readonly nodeId: string;
  readonly session: string | undefined;
  readonly atMs: number;
}

/**
 * What a controller remembers since it was elected: since when things are as they are, and what it has done about them.
 *
 * Nothing of it is stored. A new controller begins with "since now" for everything, so it is more patient than the one before, never less.
 */
export class ControllerMemory implements Memory {
  readonly #now: () => number;
  readonly #renameAfterMs: number;
  readonly #startMs: number;
  readonly #readySince = new Map<string, number>();
  readonly #goneSince = new Map<string, number>();
  readonly #sessions = new Map<string, string>();
  readonly #changedAt = new Map<string, number>();
  readonly #named = new Map<string, Naming>();
  /** Keys by node. */
  readonly #expelled = new Map<string, Set<string>>();
  /** Nodes by key. */
  readonly #suspects = new Map<string, Set<string>>();

  /** @param now monotonic milliseconds */
  constructor(now: () => number, renameAfterMs: number) {
    this.#now = now;
    this.#renameAfterMs = renameAfterMs;
    this.#startMs = now();
  }

  absentMs(nodeId: string): number {
    if (this.#readySince.has(nodeId)) return 0;
    return this.#now() - (this.#goneSince.get(nodeId) ?? this.#startMs);
  }

  presentMs(nodeId: string): number {
    const since = this.#readySince.get(nodeId);
    return since === undefined ? 0 : this.#now() - since;
  }

  quietMs(key: string): number {
    return this.#now() - (this.#changedAt.get(key) ?? this.#startMs);
  }

  hasLostData(key: string, nodeId: string): boolean {
    return this.#suspects.get(key)?.has(nodeId) === true;
  }

  wasJustNamed(key: string, nodeId: string): boolean {
    const naming = this.#named.get(key);
    return (
      naming?.nodeId === nodeId &&
      naming.session === this.#sessions.get(nodeId) &&
      this.#now() - naming.atMs < this.#renameAfterMs
    );
  }

  wasExpelled(key: string, nodeId: string): boolean {
    return this.#expelled.get(nodeId)?.has(key) === true;
  }

  /**
   * Takes note of who is a member now.
   * @param inMemory the partitions that are kept in memory, asked for when a node has begun anew
   */
  seeNodes(nodes: readonly ClusterNode[], inMemory: () => Iterable<[string, PartitionState]>): void {
    const ready = new Set(nodes.filter((node) => isReady(node)).map(({ nodeId }) => nodeId));
    for (const nodeId of [...this.#readySince.keys()]) if (!ready.has(nodeId)) this.#leave(nodeId);
    const anew = nodes.filter(({ nodeId, session }) => this.#isNewSession(nodeId, session));
    for (const { nodeId } of anew) this.#leave(nodeId);
    for (const nodeId of ready) this.#enter(nodeId);
    if (anew.length > 0) this.#suspect(new Set(anew.map(({ nodeId }) => nodeId)), inMemory());
  }

  /** A partition's state has changed. */
  seeChange(key: string): void {
    this.#changedAt.set(key, this.#now());
    // Whoever wrote it knew better; a node that has lost something sees to it itself before it is ready.
    this.#suspects.delete(key);
  }

  /** A partition is gone. */
  forget(key: string): void {
    this.#changedAt.delete(key);
    this.#suspects.delete(key);
    this.#named.delete(key);
    for (const keys of this.#expelled.values()) keys.delete(key);
  }

  /** This controller has changed a state. @param before undefined: there was none */
  did(key: string, before: PartitionState | undefined, after: PartitionState): void {
    if (after.leader !== null && after.leader !== before?.leader) {
      const session = this.#sessions.get(after.leader);
      this.#named.set(key, { nodeId: after.leader, session, atMs: this.#now() });
    }
    for (const nodeId of before?.isr ?? []) {
      if (after.isr.includes(nodeId) || this.#readySince.has(nodeId)) continue;
      const keys = this.#expelled.get(nodeId) ?? new Set();
      this.#expelled.set(nodeId, keys.add(key));
    }
  }

  /** Takes note of the session. @returns whether there was another one */
  #isNewSession(nodeId: string, session: string): boolean {
    const before = this.#sessions.get(nodeId);
    this.#sessions.set(nodeId, session);
    return before !== undefined && before !== session;
  }

  #leave(nodeId: string): void {
    if (this.#readySince.delete(nodeId)) this.#goneSince.set(nodeId, this.#now());
  }

  #enter(nodeId: string): void {
    if (this.#readySince.has(nodeId)) return;
    this.#readySince.set(nodeId, this.#now());
    this.#goneSince.delete(nodeId);
    this.#expelled.delete(nodeId);
  }

  #suspect(nodeIds: ReadonlySet<string>, partitions: Iterable<[string, PartitionState]>): void {
    for (const [key, { isr }] of partitions) {
      const lost = isr.filter((nodeId) => nodeIds.has(nodeId));
      if (lost.length > 0) this.#suspects.set(key, new Set(lost));
    }
  }
}
