import type { HttpCounters } from '../../gateway/http/counters.ts';
import type { StreamCounters } from '../../gateway/http/streams/stream-counters.ts';
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
  registerStreams(metrics, counters.streams);
}

function registerStreams(metrics: Metrics, counters: StreamCounters): void {
  metrics.gaugesFrom('sluice_http_streams', 'Streams open, or being opened, by kind.', ['kind'], () => [
    { labels: { kind: 'websocket' }, value: counters.sockets },
    { labels: { kind: 'sse' }, value: counters.eventStreams },
  ]);
  metrics.counterFrom(
    'sluice_http_streams_refused_total',
    'Streams that were refused before they were open.',
    () => counters.refused,
  );
  metrics.countersFrom(
    'sluice_http_streams_ended_total',
    'Streams that this node has ended, by code.',
    ['code'],
    () => [...counters.ended].map(([code, value]) => ({ labels: { code }, value })),
  );
  metrics.counterFrom(
    'sluice_http_stream_records_total',
    'Records handed to streams.',
    () => counters.records,
  );
  metrics.counterFrom(
    'sluice_http_stream_bytes_total',
    'Characters of JSON handed to streams.',
    () => counters.bytes,
  );
}
