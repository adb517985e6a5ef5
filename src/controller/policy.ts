/** How patient and how fast a controller is. Times are milliseconds. */
export interface ControllerPolicy {
  /** A node that has been gone for so long has its replicas rebuilt elsewhere. */
  readonly replaceAfterMs: number;
  /** Node and state must have been as they are for so long before leadership goes back to the preferred replica. */
  readonly preferredAfterMs: number;
  /** All in-sync replicas must have been gone for so long before a topic that allows it is led by another one. */
  readonly uncleanAfterMs: number;
  /** A node that gave a leadership back is not named again for the same partition before. */
  readonly renameAfterMs: number;
  /** Partitions that a node may be copying, and that may be moving while it leads them, before more are begun. */
  readonly movesPerNode: number;
  /** Leaderships that go back to the preferred replica in one tick. */
  readonly preferredPerTick: number;
  /** How often what depends on time alone is looked at. */
  readonly tickMs: number;
  /** How long after a change of a partition's state it is looked at, with all other changes until then. */
  readonly coalesceMs: number;
  /** Changes that are under way at once. */
  readonly updatesAtOnce: number;
  /** A partition whose change failed is left alone for so long. */
  readonly retryAfterMs: number;
}

/** What a controller does where nothing else is said. */
export const CONTROLLER_POLICY: ControllerPolicy = {
  replaceAfterMs: 600_000,
  preferredAfterMs: 30_000,
  uncleanAfterMs: 10_000,
  renameAfterMs: 5000,
  movesPerNode: 4,
  preferredPerTick: 100,
  tickMs: 1000,
  coalesceMs: 50,
  updatesAtOnce: 64,
  retryAfterMs: 1000,
};
