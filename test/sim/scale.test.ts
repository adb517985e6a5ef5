/** Ten thousand partitions on five nodes: placed, led, and led again when a node is gone. */
import { describe, expect, it } from 'vitest';
import { QuietCluster } from './quiet-cluster.ts';

const PARTITIONS = 10_000;
const NODES = 5;

describe('ten thousand partitions on five nodes', () => {
  it('are placed evenly, and led by others when a node is gone', { timeout: 120_000 }, async () => {
    const stage = new QuietCluster({ nodes: NODES, partitions: PARTITIONS });
    await Promise.resolve();
    stage.start();
    const placedMs = await stage.until(() => stage.isLed(undefined, new Map()), 120_000);
    await stage.until(
      () => [...stage.copies.values()].reduce((sum, one) => sum + one, 0) === 3 * PARTITIONS,
      60_000,
    );
    const led = stage.servers.map(({ name }) => stage.ledBy(name));
    expect(Math.min(...led)).toBeGreaterThan((0.7 * PARTITIONS) / NODES);
    expect(Math.max(...led)).toBeLessThan((1.3 * PARTITIONS) / NODES);

    const [gone] = stage.servers;
    const epochs = new Map(
      [...stage.states]
        .filter(([, { leader }]) => leader === gone!.name)
        .map(([id, { leaderEpoch }]) => [id, leaderEpoch]),
    );
    gone!.crash('destroy');
    const movedMs = await stage.until(() => stage.isLed(gone!.name, epochs), 60_000);
    expect(epochs.size).toBe(led[0]);
    console.log(
      `placed in ${placedMs.toFixed(0)} ms, ${epochs.size} moved in ${movedMs.toFixed(0)} ms of simulated time`,
    );
  });
});
