/**
 * Transfers records from one topic to another, changed on the way: each once, in order, whenever it is killed and started again.
 *
 *     node examples/exactly-once-transfer.ts [source] [target]
 *
 * There are no transactions. Instead the place reached in the source is stored with the output: every output record carries the
 * source offset after it as a header, and partition n of the source goes to partition n of the target. So a record and its place are
 * stored together or not at all, and after a restart the last record of each target partition says where to go on.
 *
 * What is guaranteed: every source record that the transfer reaches is in the target exactly once and in order, over crashes of this program, lost
 * connections and changes of leader, because
 *   - while the program runs, its idempotent producer never stores a batch twice, and none of those on their way past one that is missing;
 *   - when a batch is given up the program ends before anything after it could be sent in another try, and what was stored is found out by
 *     reading the target, not by guessing.
 * What it rests on:
 *   - one transfer at a time. Two at once would each write what the other does: start the next only when the last is gone, as a service
 *     manager does. A batch that a killed one had on its way is answered or thrown away by the broker within moments (RESTART_PAUSE_MS);
 *   - nobody else writes to the target, and its last records are retained (no retention by age that empties it, no tombstones compacted away);
 *   - the source keeps its records until they are transferred: with `onGap: 'end'` a loss ends the program instead of passing unseen;
 *   - both topics keep their number of partitions, and acknowledged records survive as the topics' settings promise (docs/promises.md).
 * What reads the target is delivered to at least once as ever: see idempotent-consumer.ts.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client, Position } from 'sluice';
import { connect } from 'sluice';

const NEXT = 'transfer-next-offset';
const RESTART_PAUSE_MS = 1000;
const source = process.argv[2] ?? 'transfer-in';
const target = process.argv[3] ?? 'transfer-out';

/** Where the source goes on: after the records whose output is in the target. */
async function recover(client: Client): Promise<Position[]> {
  await sleep(RESTART_PAUSE_MS);
  const starts = await client.admin.listOffsets(target, 'earliest');
  const ends = await client.admin.listOffsets(target, 'latest');
  const positions: Position[] = [];
  for (const { partition, offset: end } of ends) {
    if (end === 0) continue; // nothing was ever transferred
    const start = starts.find((each) => each.partition === partition)?.offset ?? 0;
    if (start === end) throw new Error(`${target}/${partition} has lost its records: the place is not known`);
    const last = { topic: target, partition, offset: end - 1 };
    const subscription = await client.subscribe(target, {
      partitions: [partition],
      resume: [last],
      onGap: 'end',
    });
    for await (const record of subscription) {
      const next = record.header(NEXT);
      if (!next) throw new Error(`${target}/${partition} has a record of somebody else`);
      positions.push({ topic: source, partition, offset: Number(next.toString()) });
      break;
    }
  }
  return positions;
}

await using client = await connect();
for (const name of [source, target])
  await client.admin.createTopic({ name, partitions: 3, ifNotExists: true });
const producer = client.producer({ acks: 'all', idempotent: true });
producer.on('rejected', ({ partition, error }) => {
  console.error(`${target}/${partition ?? ''}: ${error.code}: ${error.message}`);
  process.exit(1); // at once: what follows must not be stored without what is missing
});
for (let i = 1; i <= 5; i++) await producer.send({ topic: source, key: `key ${i}`, value: `word ${i}` });

const resume = await recover(client);
console.log(
  `going on at ${resume.map(({ partition, offset }) => `${partition}@${offset}`).join(' ') || 'the beginning'}`,
);
const subscription = await client.subscribe(source, { from: 'earliest', resume, onGap: 'end' });
setTimeout(() => void subscription.close(), 3000);
for await (const batch of subscription.batches()) {
  for (const { partition, offset, key, value } of batch) {
    const output = value === null ? null : value.toString('utf8').toUpperCase();
    const headers = { [NEXT]: String(offset + 1) };
    while (!producer.offer({ topic: target, partition, key, value: output, headers })) await producer.ready();
  }
  await producer.flush();
  console.log(`${batch.partition}: ${batch.recordCount} records of the source are in the target`);
}
