import { expect, it } from 'vitest';
import { newControllerCounters } from '../../../src/controller/counters.ts';
import { registerController } from '../../../src/node/metrics/controller-metrics.ts';
import { createMetrics } from '../../../src/telemetry/metrics.ts';
import { shown } from './shown.ts';

it('of the controller show its term, and its changes by why', async () => {
  const counters = newControllerCounters();
  Object.assign(counters, { elections: 2, plans: 5, planningMs: 250, conflicts: 1, failures: 4 });
  counters.updates['handed over'] = 7;
  const controller: { term: number | undefined; counters: typeof counters } = { term: 12, counters };
  const metrics = createMetrics();
  registerController(metrics, controller);
  const lines = await shown(metrics);
  expect(lines).toEqual(
    expect.arrayContaining([
      'controller_term 12',
      'controller_elections_total 2',
      'controller_changes_total{reason="handed over"} 7',
      'controller_changes_total{reason="elected"} 0',
      'controller_conflicts_total 1',
      'controller_failures_total 4',
      'controller_plans_total 5',
      'controller_planning_seconds_total 0.25',
    ]),
  );
  controller.term = undefined;
  expect(await shown(metrics)).toContain('controller_term 0');
});
