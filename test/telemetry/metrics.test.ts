import { describe, expect, it } from 'vitest';
import { DurationHistogram } from '../../src/kernel/duration-histogram.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';

describe('metrics', () => {
  it('reads plain fields when somebody scrapes', async () => {
    const metrics = createMetrics();
    const hot = { published: 0 };
    metrics.counterFrom('sluice_published_total', 'Records published.', () => hot.published);
    hot.published = 7;
    await metrics.render();
    hot.published = 9;
    expect(await metrics.render()).toContain('\nsluice_published_total 9\n');
  });

  it('shows a gauge for each combination of labels and forgets those that are gone', async () => {
    const metrics = createMetrics();
    const lags = new Map([['a', 1], ['b', 2]]); // prettier-ignore
    metrics.gaugesFrom('sluice_lag_records', 'Lag.', ['subscription'], () =>
      [...lags].map(([subscription, value]) => ({ labels: { subscription }, value })),
    );
    await metrics.render();
    lags.delete('a');
    const lines = (await metrics.render())
      .split('\n')
      .filter((line) => line.startsWith('sluice_lag_records'));
    expect(lines).toEqual(['sluice_lag_records{subscription="b"} 2']);
  });

  it('shows durations as quantiles in seconds', async () => {
    const metrics = createMetrics();
    const recorder = metrics.durations('sluice_append_seconds', 'Time to append.');
    for (let i = 0; i < 100; i += 1) recorder.record(250);
    const line = (await metrics.render()).split('\n').find((text) => text.includes('quantile="0.5"'));
    expect(Number(line?.split(' ')[1])).toBeCloseTo(0.25, 3);
  });

  it('shows a histogram as Prometheus has them: buckets that add up, sum and count', async () => {
    const metrics = createMetrics();
    const histogram = new DurationHistogram();
    metrics.histogramOf('sluice_write_seconds', 'Writes.', histogram);
    for (const ms of [0.2, 3, 60_000]) histogram.record(ms);
    const lines = (await metrics.render())
      .split('\n')
      .filter((line) => line.includes('sluice_write_seconds'));
    expect(lines).toEqual(
      expect.arrayContaining([
        '# TYPE sluice_write_seconds histogram',
        'sluice_write_seconds_bucket{le="0.0001"} 0',
        'sluice_write_seconds_bucket{le="0.00025"} 1',
        'sluice_write_seconds_bucket{le="0.005"} 2',
        'sluice_write_seconds_bucket{le="10"} 2',
        'sluice_write_seconds_bucket{le="+Inf"} 3',
        'sluice_write_seconds_sum 60.0032',
        'sluice_write_seconds_count 3',
      ]),
    );
  });

  it('shows the process itself', async () => {
    expect(await createMetrics().render()).toContain('process_cpu_seconds_total');
  });
});
