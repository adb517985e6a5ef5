import type { Broker } from '../../broker/broker.ts';
import type { Metrics, Sample } from '../../telemetry/metrics.ts';

/** What is read of a broker. */
export interface GroupSources {
  readonly groups: Pick<Broker['groups'], 'counts' | 'waiting'>;
}

/** Consumer groups and queues that this node coordinates; totals are of all that it has coordinated since it started. */
export function registerGroups(metrics: Metrics, { groups }: GroupSources): void {
  const labelled = (label: string, counts: Readonly<Record<string, number>>): Sample[] =>
    Object.entries(counts).map(([name, value]) => ({ labels: { [label]: name }, value }));
  metrics.gaugeFrom(
    'sluice_group_questions_waiting',
    'Questions of clients of this node about groups and queues that are not answered.',
    () => groups.waiting,
  );
  metrics.gaugesFrom(
    'sluice_group_coordinators',
    'Partitions of __groups that this node leads, by whether their state is loaded.',
    ['state'],
    () => {
      const { open, loading } = groups.counts();
      return labelled('state', { open, loading });
    },
  );
  metrics.counterFrom(
    'sluice_group_coordinator_failures_total',
    'Coordinators that had to begin anew because something could not be loaded or stored, or went wrong half-way.',
    () => groups.counts().failures,
  );
  metrics.countersFrom(
    'sluice_queue_work_failures_total',
    'How often work of queues failed that is tried again by itself, by what it is; the log says why (queues.work_failed).',
    ['work'],
    () => labelled('work', groups.counts().troubles),
  );
  metrics.gaugesFrom(
    'sluice_groups',
    'Consumer groups coordinated here, their members, and so on.',
    ['what'],
    () => labelled('what', groups.counts().groups.now),
  );
  metrics.countersFrom('sluice_groups_events_total', 'What happened in consumer groups.', ['event'], () =>
    labelled('event', groups.counts().groups.totals),
  );
  metrics.gaugesFrom(
    'sluice_queues',
    'Queues coordinated here, their records by state, and consumers that wait.',
    ['what'],
    () => labelled('what', groups.counts().queues.now),
  );
  metrics.countersFrom(
    'sluice_queue_records_total',
    'Records of queues, by what happened to them.',
    ['event'],
    () => labelled('event', groups.counts().queues.totals),
  );
}
