import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { HttpCounters } from '../../../src/gateway/http/counters.ts';
import { registerHttp } from '../../../src/node/metrics/http-metrics.ts';
import { createMetrics } from '../../../src/telemetry/metrics.ts';

it('metrics of HTTP are all in docs/http.md, and no others', async () => {
  const counters = new HttpCounters();
  counters.countError('FORBIDDEN');
  counters.streams.countEnded('TIMEOUT');
  counters.streams.sockets = 2;
  const metrics = createMetrics();
  registerHttp(metrics, counters);
  const shown = await metrics.render();
  const page = readFileSync(new URL('../../../docs/http.md', import.meta.url), 'utf8');
  const told = new Set([...page.matchAll(/`(sluice_\w+)/g)].map(([, name]) => name));
  const names = new Set([...shown.matchAll(/# TYPE (sluice_\w+)/g)].map(([, name]) => name));
  expect([...told].sort()).toEqual([...names].sort());
  for (const line of [
    'sluice_http_streams{kind="websocket"} 2',
    'sluice_http_streams_ended_total{code="TIMEOUT"} 1',
  ])
    expect(shown).toContain(line);
});
