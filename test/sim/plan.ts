import type { ControllerPolicy } from '../../src/controller/policy.ts';
import type { TopicSettings } from '../../src/coordination/coordinator.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import { topicSettings } from '../support/topic-settings.ts';
import type { Fault } from './nemesis.ts';
import type { SimProducerPlan } from './producer.ts';

/** What may be said about a run beside its seed. */
export interface SimOptions {
  readonly seed: number;
  /** Default: 3, at times 5 or 7. */
  readonly nodes?: number | undefined;
  /** Milliseconds of simulated time with faults; default 10,000. */
  readonly chaosMs?: number | undefined;
  /** Kinds of faults; default: some of all. */
  readonly faults?: readonly Fault[] | undefined;
  /** What all producers ask for; default: some this, some that. */
  readonly acks?: 1 | 2 | undefined;
  /** Whether records are deleted where not all are kept; default: at times. */
  readonly erases?: boolean | undefined;
}

/** What one run is made of; all of it follows from the options. */
export interface SimPlan {
  readonly nodes: readonly { readonly name: string; readonly zone: string; readonly clockRate: number }[];
  readonly partitions: number;
  readonly settings: TopicSettings;
  readonly maxLagMs: number;
  readonly policy: Partial<ControllerPolicy>;
  readonly producers: readonly SimProducerPlan[];
  readonly subscribers: readonly { readonly name: string; readonly partition: number }[];
  readonly chaosMs: number;
  /** Whether an administrator deletes records. */
  readonly erases: boolean;
}

const KEEP_ALL_BYTES = 1024 * 1024 * 1024;
/** Where not all are kept: few enough for readers and copies to fall behind. */
const RETAINED_RECORDS = 60;

export function planFor(options: SimOptions, random: SeededRandom): SimPlan {
  const count = options.nodes ?? random.pick([3, 3, 3, 3, 3, 5, 5, 7]);
  const partitions = random.pick([1, 1, 2]);
  const names = Array.from({ length: count }, (_, index) => `n${index + 1}`);
  const plan = {
    nodes: names.map((name, index) => ({
      name,
      zone: `z${index % 3}`,
      clockRate: 1 + (random.fraction() - 0.5) * 0.04,
    })),
    partitions,
    settings: {
      ...settingsFor(random, count),
      ...(options.erases && { retentionRecords: RETAINED_RECORDS }),
    },
    maxLagMs: random.pick([1000, 2000, 4000]),
    policy: { replaceAfterMs: random.pick([3000, 600_000]), preferredAfterMs: 2000, renameAfterMs: 1000 },
    producers: Array.from({ length: random.between(2, 3) }, (_, index) =>
      producerPlan(`w${index}`, index, partitions, options, random),
    ),
    subscribers: Array.from({ length: random.between(1, 2) }, (_, index) => ({
      name: `r${index}`,
      partition: index % partitions,
    })),
    chaosMs: options.chaosMs ?? 10_000,
  };
  // Where all are kept each is looked for.
  return { ...plan, erases: plan.settings.retentionRecords > 0 && (options.erases ?? random.chance(0.7)) };
}

function settingsFor(random: SeededRandom, nodes: number): TopicSettings {
  return topicSettings({
    storage: random.pick(['memory', 'disk']),
    retentionBytes: KEEP_ALL_BYTES,
    retentionRecords: random.pick([0, 0, 0, RETAINED_RECORDS]),
    batchMaxBytes: 64 * 1024,
    timestamps: random.pick(['create', 'append']),
    replicationFactor: nodes > 3 ? random.pick([3, 3, 5]) : 3,
    minInsync: random.pick([1, 2, 2, 2]),
  });
}

function producerPlan(
  name: string,
  index: number,
  partitions: number,
  { acks }: SimOptions,
  random: SeededRandom,
): SimProducerPlan {
  const idempotent = index === 0 || random.chance(0.6);
  return {
    name,
    partition: index % partitions,
    acks: acks ?? (index === 0 || random.chance(0.5) ? 2 : 1),
    producerId: idempotent ? index + 1 : undefined,
    window: random.pick([1, 1, 3, 5]),
    intervalMs: random.pick([100, 250, 600]),
  };
}
