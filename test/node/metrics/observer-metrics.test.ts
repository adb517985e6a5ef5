import { expect, it } from 'vitest';
import { registerObservers } from '../../../src/node/metrics/observer-metrics.ts';
import { countBytes, newObserverCounters } from '../../../src/observers/observer-counters.ts';
import { createMetrics } from '../../../src/telemetry/metrics.ts';
import { member } from '../fake-cluster.ts';
import { shown } from './shown.ts';

it('of copies for readers show how many there are, what came from where, and how far they are behind', async () => {
  const counters = { ...newObserverCounters(), opened: 4, failures: 3, truncations: 2, restarts: 1 };
  countBytes(counters, { node: 'b', zone: 'x' }, 'feed', 500);
  countBytes(counters, { node: 'b', zone: 'x' }, 'feed', 100);
  countBytes(counters, { node: 'b', zone: 'x' }, 'older', 20);
  countBytes(counters, { node: 'c', zone: 'y' }, 'feed', 7);
  countBytes(counters, { node: 'gone', zone: 'y' }, 'feed', 8);
  const coordinator = { cluster: { nodes: () => ['a', 'b', 'c'].map((nodeId) => member(nodeId)) } };
  const partitions = () => [
    { readers: 3, isChained: true, lag: { records: 9, ms: 200 } },
    { readers: 1, isChained: false, lag: { records: 2, ms: 1500 } },
  ];
  const services = { copies: { relays: { reads: 1, bytes: 40 } } };
  const metrics = createMetrics();
  registerObservers(metrics, {
    ...{ observers: { counters, partitions, retainedBytes: 600 }, services, coordinator },
  });
  expect(await shown(metrics)).toEqual([
    'observer_copies{from="replica"} 1',
    'observer_copies{from="observer"} 1',
    'observer_readers 4',
    'observer_retained_bytes 600',
    'observer_lag_records 9',
    'observer_lag_seconds 1.5',
    'observer_opened_total 4',
    'observer_bytes_total{node="b",zone="x",records="new"} 600',
    'observer_bytes_total{node="b",zone="x",records="older"} 20',
    'observer_bytes_total{node="c",zone="y",records="new"} 7',
    'observer_bytes_total{node="c",zone="y",records="older"} 0',
    'observer_failures_total 3',
    'observer_truncations_total 2',
    'observer_restarts_total 1',
    'observer_relayed_bytes_total 40',
  ]);
  expect([...counters.sources.values()].map(({ node }) => node)).toEqual(['b', 'c']);
});
