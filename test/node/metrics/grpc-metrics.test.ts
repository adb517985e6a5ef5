import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { GrpcCounters } from '../../../src/gateway/grpc/counters.ts';
import { registerGrpc } from '../../../src/node/metrics/grpc-metrics.ts';
import type { Metrics } from '../../../src/telemetry/metrics.ts';

it('metrics of gRPC are all in docs/grpc.md, and no others', () => {
  const names = new Set<string>();
  const note = (name: string): void => void names.add(name);
  const metrics = { counterFrom: note, gaugeFrom: note, countersFrom: note } as never as Metrics;
  registerGrpc(metrics, { counters: new GrpcCounters() } as never);
  const page = readFileSync(new URL('../../../docs/grpc.md', import.meta.url), 'utf8');
  const told = new Set([...page.matchAll(/`(sluice_\w+)/g)].map(([, name]) => name));
  expect([...told].sort()).toEqual([...names].sort());
});
