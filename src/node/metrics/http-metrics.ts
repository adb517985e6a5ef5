import type { HttpCounters } from '../../gateway/http/counters.ts';
import type { Metrics } from '../../telemetry/metrics.ts';

/** What is asked over HTTP. */
export function registerHttp(metrics: Metrics, counters: HttpCounters): void {
  metrics.counterFrom(
    'sluice_http_requests_total',
    'Requests over HTTP, health and metrics included.',
    () => counters.requests,
  );
  metrics.countersFrom(
    'sluice_http_errors_total',
    'Answers over HTTP that were errors, by code.',
    ['code'],
    () => [...counters.errors].map(([code, value]) => ({ labels: { code }, value })),
  );
}
