import { expect, it } from 'vitest';
import { registerGroups } from '../../../src/node/metrics/group-metrics.ts';
import { createMetrics } from '../../../src/telemetry/metrics.ts';
import { shown } from './shown.ts';

it('of groups and queues show what is there, and what has happened', async () => {
  const counts = {
    ...{ open: 3, loading: 1, failures: 2, troubles: { publish: 6 } },
    groups: { now: { members: 4 }, totals: { commits_total: 9 } },
    queues: { now: { leased: 7 }, totals: { acknowledged: 100 } },
  };
  const metrics = createMetrics();
  registerGroups(metrics, { groups: { waiting: 5, counts: () => counts } });
  expect(await shown(metrics)).toEqual([
    'group_questions_waiting 5',
    'group_coordinators{state="open"} 3',
    'group_coordinators{state="loading"} 1',
    'group_coordinator_failures_total 2',
    'queue_work_failures_total{work="publish"} 6',
    'groups{what="members"} 4',
    'groups_events_total{event="commits_total"} 9',
    'queues{what="leased"} 7',
    'queue_records_total{event="acknowledged"} 100',
  ]);
});
