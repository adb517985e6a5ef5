import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { Metrics } from '../../../src/telemetry/metrics.ts';
import { registerCluster } from '../../../src/node/metrics/cluster-metrics.ts';
import { registerController } from '../../../src/node/metrics/controller-metrics.ts';
import { registerObservers } from '../../../src/node/metrics/observer-metrics.ts';
import { registerPeers } from '../../../src/node/metrics/peer-metrics.ts';
import { registerReplicas } from '../../../src/node/metrics/replica-metrics.ts';

it('metrics of a cluster are all in docs/cluster.md, and no others', () => {
  const names = new Set<string>();
  const note = (name: string): void => void names.add(name);
  const metrics = {
    counterFrom: note,
    gaugeFrom: note,
    countersFrom: note,
    gaugesFrom: note,
  } as never as Metrics;
  // Nothing is read before somebody scrapes.
  const nothing = { peers: { client: {} }, services: { forwards: {}, copies: {} }, observers: {} } as never;
  registerCluster(metrics, {} as never, nothing);
  registerPeers(metrics, nothing);
  registerReplicas(metrics, nothing);
  registerObservers(metrics, nothing);
  registerController(metrics, nothing);
  const page = readFileSync(new URL('../../../docs/cluster.md', import.meta.url), 'utf8');
  const told = new Set([...page.matchAll(/`(sluice_\w+)/g)].map(([, name]) => name));
  expect([...told].sort()).toEqual([...names].sort());
});
