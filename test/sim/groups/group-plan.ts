import type { ControllerPolicy } from '../../../src/controller/policy.ts';
import type { TopicSettings } from '../../../src/coordination/coordinator.ts';
import type { SeededRandom } from '../../support/seeded-random.ts';
import type { Fault } from '../nemesis.ts';
import type { SimConsumerPlan } from './sim-consumer.ts';
import type { SimMemberPlan } from './sim-member.ts';
import { topicSettings } from '../../support/topic-settings.ts';

/** What may be said about a run beside its seed. */
export interface GroupSimOptions {
  readonly seed: number;
  /** Default: 3, at times 5. */
  readonly nodes?: number | undefined;
  /** Milliseconds of simulated time with faults; default 8,000. */
  readonly chaosMs?: number | undefined;
  /** Kinds of faults; default: some of all. */
  readonly faults?: readonly Fault[] | undefined;
}

/** A queue on the source. */
export interface SimQueuePlan {
  /** Name of its group. */
  readonly name: string;
  readonly leaseMs: number;
  readonly maxAttempts: number;
  readonly backoffMs: number;
  readonly maxBackoffMs: number;
  readonly orderedByKey: boolean;
}

/** What one run is made of; all of it follows from the options. */
export interface GroupPlan {
  readonly nodes: readonly { readonly name: string; readonly zone: string; readonly clockRate: number }[];
  /** Of the source. */
  readonly partitions: number;
  /** Of `__groups`. */
  readonly statePartitions: number;
  readonly settings: TopicSettings;
  readonly maxLagMs: number;
  readonly policy: Partial<ControllerPolicy>;
  readonly sources: readonly string[];
  readonly members: readonly SimMemberPlan[];
  readonly queues: readonly SimQueuePlan[];
  readonly consumers: readonly SimConsumerPlan[];
  readonly chaosMs: number;
}

const KEEP_ALL_BYTES = 1024 * 1024 * 1024;

export function groupPlanFor(options: GroupSimOptions, random: SeededRandom): GroupPlan {
  const count = options.nodes ?? random.pick([3, 3, 3, 5]);
  const names = Array.from({ length: count }, (_, index) => `n${index + 1}`);
  const queues = [queuePlan('default', random)];
  if (random.chance(0.4)) queues.push(queuePlan('other', random));
  return {
    nodes: names.map((name, index) => ({
      name,
      zone: `z${index % 3}`,
      clockRate: 1 + (random.fraction() - 0.5) * 0.04,
    })),
    partitions: random.pick([1, 2, 3]),
    statePartitions: random.pick([1, 2, 3]),
    settings: SETTINGS,
    maxLagMs: random.pick([1000, 2000, 4000]),
    policy: { replaceAfterMs: random.pick([3000, 600_000]), preferredAfterMs: 2000, renameAfterMs: 1000 },
    sources: Array.from({ length: random.between(1, 2) }, (_, index) => `w${index}`),
    members: Array.from({ length: random.between(2, 4) }, (_, index) => memberPlan(`m${index}`, random)),
    queues,
    consumers: queues.flatMap(({ name, leaseMs }, nth) =>
      Array.from({ length: random.between(2, 3) }, (_, index) =>
        consumerPlan(`c${nth}${index}`, name, leaseMs, random),
      ),
    ),
    chaosMs: options.chaosMs ?? 8000,
  };
}

const SETTINGS: TopicSettings = topicSettings({
  storage: 'disk',
  retentionBytes: KEEP_ALL_BYTES,
  replicationFactor: 3,
  minInsync: 2,
});

function memberPlan(name: string, random: SeededRandom): SimMemberPlan {
  return {
    name,
    instanceId: random.chance(0.3) ? `i-${name}` : '',
    sessionTimeoutMs: random.pick([1000, 1500, 3000]),
    maxWaitMs: random.pick([100, 300, 1000]),
    commitEveryMs: random.pick([100, 300, 5000]),
    leaveShare: random.pick([0, 0.02, 0.1]),
  };
}

function queuePlan(name: string, random: SeededRandom): SimQueuePlan {
  return {
    name,
    leaseMs: random.pick([300, 800, 2000]),
    maxAttempts: random.pick([2, 3, 5]),
    backoffMs: random.pick([10, 100]),
    maxBackoffMs: 400,
    orderedByKey: random.chance(0.3),
  };
}

function consumerPlan(name: string, queue: string, leaseMs: number, random: SeededRandom): SimConsumerPlan {
  return {
    name,
    queue,
    maxRecords: random.pick([1, 5, 20]),
    maxWaitMs: random.pick([0, 300, 2000]),
    leaseMs: random.chance(0.7) ? 0 : 2 * leaseMs,
  };
}
