import type { RecordableHistogram } from 'node:perf_hooks';
import { createHistogram } from 'node:perf_hooks';
import type { Metric } from 'prom-client';
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';
import type { DurationHistogram } from '../kernel/duration-histogram.ts';

/** One value of a metric with labels. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/**
 * The metrics of one node, in Prometheus' text format.
 *
 * Hot code counts in plain fields; the functions given here read them when somebody scrapes. Names start with `sluice_`,
 * carry their unit (`_bytes`, `_seconds`) and end with `_total` where they count.
 */
export interface Metrics {
  readonly contentType: string;
  /** The text that a scrape gets. */
  render(): Promise<string>;
  /** A count that never falls while the process lives. */
  counterFrom(name: string, help: string, read: () => number): void;
  /** A value that goes up and down. */
  gaugeFrom(name: string, help: string, read: () => number): void;
  /** A value for each combination of labels; those not returned any more disappear. */
  gaugesFrom(name: string, help: string, labelNames: readonly string[], read: () => Iterable<Sample>): void;
  /** A count for each combination of labels. */
  countersFrom(name: string, help: string, labelNames: readonly string[], read: () => Iterable<Sample>): void;
  /** Durations in buckets, in seconds: what scrapes of many nodes, or of one over time, can add up. */
  histogramOf(name: string, help: string, histogram: DurationHistogram): void;
  /** Durations, shown as the quantiles 0.5, 0.9, 0.99 and 1 of everything since the start, in seconds. */
  durations(name: string, help: string): DurationRecorder;
}

/** Takes durations at the price of one native call. */
export interface DurationRecorder {
  /** Milliseconds with fractions. */
  record(durationMs: number): void;
}

const QUANTILES = [0.5, 0.9, 0.99, 1] as const;
const NANOSECONDS_PER_MS = 1e6;

/** Creates a registry with the metrics of the process itself (CPU, memory, event loop) in it. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const labelled = (
    metric: { reset(): void },
    set: (sample: Sample) => void,
    read: () => Iterable<Sample>,
  ): void => {
    metric.reset();
    for (const sample of read()) set(sample);
  };
  const metrics: Metrics = {
    contentType: registry.contentType,
    render: () => registry.metrics(),
    counterFrom: (name, help, read) =>
      metrics.countersFrom(name, help, [], () => [{ labels: {}, value: read() }]),
    gaugeFrom: (name, help, read) =>
      metrics.gaugesFrom(name, help, [], () => [{ labels: {}, value: read() }]),
    countersFrom(name, help, labelNames, read) {
      const counter: Counter = new Counter({
        name,
        help,
        labelNames,
        registers: [registry],
        collect: () => labelled(counter, ({ labels, value }) => counter.inc(labels, value), read),
      });
    },
    gaugesFrom(name, help, labelNames, read) {
      const gauge: Gauge = new Gauge({
        name,
        help,
        labelNames,
        registers: [registry],
        collect: () => labelled(gauge, ({ labels, value }) => gauge.set(labels, value), read),
      });
    },
    histogramOf: (name, help, histogram) => registry.registerMetric(asMetric(name, help, histogram)),
    durations(name, help) {
      const histogram = createHistogram();
      metrics.gaugesFrom(name, help, ['quantile'], () => quantiles(histogram));
      metrics.counterFrom(`${name}_count`, `${help} (how many)`, () => histogram.count);
      return {
        record: (durationMs) => histogram.record(Math.max(1, Math.round(durationMs * NANOSECONDS_PER_MS))),
      };
    },
  };
  return metrics;
}

/** prom-client's own histogram counts itself; this one only shows. */
function asMetric(name: string, help: string, histogram: DurationHistogram): Metric {
  const get = () =>
    Promise.resolve({ name, help, type: 'histogram', aggregator: 'sum', values: series(name, histogram) });
  return { name, help, type: 'histogram', get } as unknown as Metric;
}

function series(
  name: string,
  { boundsMs, counts, sumMs }: DurationHistogram,
): (Sample & { metricName: string })[] {
  let count = 0;
  const buckets = counts.map((inBucket, i) => {
    count += inBucket;
    const le = i < boundsMs.length ? String(boundsMs[i]! / 1000) : '+Inf';
    return { metricName: `${name}_bucket`, labels: { le }, value: count };
  });
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels: {}, value: sumMs / 1000 },
    { metricName: `${name}_count`, labels: {}, value: count },
  ];
}

function quantiles(histogram: RecordableHistogram): Sample[] {
  if (histogram.count === 0) return [];
  return QUANTILES.map((quantile) => ({
    labels: { quantile: String(quantile) },
    value: histogram.percentile(quantile * 100) / (NANOSECONDS_PER_MS * 1000),
  }));
}
