import type { Metrics } from '../../../src/telemetry/metrics.ts';

/** The lines of a scrape that show values of Sluice's own, without the prefix of their names. */
export async function shown(metrics: Metrics): Promise<string[]> {
  const lines = (await metrics.render()).split('\n');
  return lines.flatMap((line) => (line.startsWith('sluice_') ? [line.slice('sluice_'.length)] : []));
}
