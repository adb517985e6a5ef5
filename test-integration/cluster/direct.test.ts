/** Clients that publish to the leaders of partitions themselves. */
import { describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { ClusterStage } from './stage.ts';

describe('a producer in a cluster of real nodes', () => {
  it('reaches each leader directly, and loses, doubles and reorders nothing when one is killed', async () => {
    await using stage = await ClusterStage.start();
    const { admin } = await stage.connect(['n1'], { direct: false });
    const settings = { replicationFactor: 3, minInsync: 2, storage: 'disk' } as const;
    await admin.createTopic({ name: 'direct', partitions: 6, settings });
    const before = await connectionsAt(stage);
    const client = await stage.connect(['n1']);
    const subscription = await client.subscribe('direct', { from: 'earliest' });
    const producer = client.producer();
    const acknowledged: number[][] = Array.from({ length: 6 }, () => []);
    const publish = (value: number): Promise<unknown> =>
      Promise.all(
        acknowledged.map(async (values, partition) => {
          await producer.send({ topic: 'direct', partition, value: String(value) });
          values.push(value);
        }),
      );
    for (let value = 0; value < 50; value++) await publish(value);
    await eventually('every node has a connection of the client', async () =>
      (await connectionsAt(stage)).every((count, index) => count > before[index]!),
    );
    const { partitions } = await admin.describeTopic('direct');
    const { leaderNodeId } = partitions.find((partition) => partition.leaderNodeId !== 'n1')!;
    const { process } = stage.node(leaderNodeId);
    const sending = (async (): Promise<void> => {
      for (let value = 50; value < 150; value++) await publish(value);
    })();
    await process.kill('SIGKILL');
    await sending;
    const received: string[][] = Array.from({ length: 6 }, () => []);
    let count = 0;
    for await (const record of subscription) {
      received[record.partition]!.push(record.text());
      count += 1;
      if (count === 6 * 150) break;
    }
    expect(received).toEqual(acknowledged.map((values) => values.map(String)));
    const ends = await admin.listOffsets('direct', 'latest');
    expect(ends.map(({ offset }) => offset)).toEqual(acknowledged.map(() => 150));
  });
});

/** Client connections of each node; the one that asks counts. */
async function connectionsAt(stage: ClusterStage): Promise<readonly number[]> {
  const counts: number[] = [];
  for (const { nodeId } of stage.nodes) {
    await using client = await stage.connect([nodeId], { direct: false });
    counts.push((await client.admin.nodeStatus()).connections);
  }
  return counts;
}
