import { SluiceError } from '../../kernel/errors.ts';
import type { StartPosition } from '../subscription/subscribe-options.ts';
import { startMessage } from '../subscription/subscribe-options.ts';
import { wholeMs } from '../whole-ms.ts';
import { withDefaults } from '../with-defaults.ts';

/** How a member of a consumer group shall be. Times in milliseconds, sizes in bytes. */
export interface GroupOptions {
  /** Topics, or wildcards over topics such as `orders.*`; members of one group may want different ones. */
  readonly topics: readonly string[];
  /** Where a partition begins for which the group has committed nothing. Default `latest`. */
  readonly from?: Exclude<StartPosition, 'last-per-key'>;
  /** `auto` (default): what was processed is committed by itself, every `commitIntervalMs` and before a partition goes. */
  readonly commit?: 'auto' | 'manual';
  /** Default 1,000. */
  readonly commitIntervalMs?: number;
  /**
   * Static membership: whoever comes back with the same one within the session timeout has its partitions still, and nothing moves.
   * Different for each member. Default: none.
   */
  readonly instanceId?: string;
  /** A member that was not heard of for so long has left. 1 s to 30 minutes. Default 10,000. */
  readonly sessionTimeoutMs?: number;
  /** How long a partition that goes to another member waits for the record that the application is at. Default 30,000. */
  readonly revokeTimeoutMs?: number;
  /** Bytes of batches that wait here to be read before the broker is held back; of all partitions together. Default 4 MiB. */
  readonly bufferBytes?: number;
  /** 0 (first) to 7 (last). Default 3. */
  readonly urgency?: number;
}

/** {@link GroupOptions} with everything decided. */
export interface GroupPlan {
  readonly group: string;
  readonly topics: readonly string[];
  readonly from: StartPosition;
  readonly commit: 'auto' | 'manual';
  readonly commitIntervalMs: number;
  /** Empty: none. */
  readonly instanceId: string;
  readonly sessionTimeoutMs: number;
  readonly revokeTimeoutMs: number;
  readonly bufferBytes: number;
  readonly urgency: number;
}

const DEFAULTS: Omit<GroupPlan, 'group' | 'topics'> = {
  from: 'latest',
  commit: 'auto',
  commitIntervalMs: 1000,
  instanceId: '',
  sessionTimeoutMs: 10_000,
  revokeTimeoutMs: 30_000,
  bufferBytes: 4 * 1024 * 1024,
  urgency: 3,
};
const SESSION_TIMEOUT = { minMs: 1000, maxMs: 30 * 60_000 };

/** Decides what was left open. @throws INVALID_ARGUMENT when a value cannot be */
export function planGroup(group: string, options: GroupOptions): GroupPlan {
  const given = withDefaults(DEFAULTS, options);
  const sessionTimeoutMs = wholeMs('sessionTimeoutMs', given.sessionTimeoutMs);
  const plan = { group, topics: [...options.topics], ...given, sessionTimeoutMs };
  if (group === '') throw new SluiceError('INVALID_ARGUMENT', 'a consumer group needs a name');
  if (plan.topics.length === 0) throw new SluiceError('INVALID_ARGUMENT', 'topics: name at least one');
  const { sessionTimeoutMs: timeoutMs } = plan;
  if (!(timeoutMs >= SESSION_TIMEOUT.minMs && timeoutMs <= SESSION_TIMEOUT.maxMs)) {
    const text = `sessionTimeoutMs ${timeoutMs} is not between ${SESSION_TIMEOUT.minMs} and ${SESSION_TIMEOUT.maxMs}`;
    throw new SluiceError('INVALID_ARGUMENT', text);
  }
  if (!(plan.commitIntervalMs > 0) || !(plan.bufferBytes > 0)) {
    throw new SluiceError('INVALID_ARGUMENT', 'commitIntervalMs and bufferBytes must be above 0');
  }
  if (plan.from === 'last-per-key') {
    throw new SluiceError('INVALID_ARGUMENT', 'from: a group cannot begin at last-per-key');
  }
  startMessage(plan.from);
  return plan;
}
