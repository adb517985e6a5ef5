import type { Controller } from '../../controller/controller.ts';
import type { Metrics } from '../../telemetry/metrics.ts';

/** What this node does as controller. */
export function registerController(
  metrics: Metrics,
  controller: Pick<Controller, 'term' | 'counters'>,
): void {
  const { counters } = controller;
  metrics.gaugeFrom(
    'sluice_controller_term',
    'Number of the election since which this node is controller, larger with each in the cluster; 0 while it is not.',
    () => controller.term ?? 0,
  );
  metrics.counterFrom(
    'sluice_controller_elections_total',
    'Times that this node became controller.',
    () => counters.elections,
  );
  metrics.countersFrom(
    'sluice_controller_changes_total',
    'States of partitions that this node has changed as controller, by why.',
    ['reason'],
    () => Object.entries(counters.updates).map(([reason, value]) => ({ labels: { reason }, value })),
  );
  metrics.counterFrom(
    'sluice_controller_conflicts_total',
    'Changes that somebody else was faster than; they are planned again.',
    () => counters.conflicts,
  );
  metrics.counterFrom(
    'sluice_controller_failures_total',
    'Changes that failed; they are tried again.',
    () => counters.failures,
  );
  metrics.counterFrom('sluice_controller_plans_total', 'Plans made.', () => counters.plans);
  metrics.counterFrom(
    'sluice_controller_planning_seconds_total',
    'Time spent on making plans.',
    () => counters.planningMs / 1000,
  );
}
