/**
 * Two subscriptions on one connection: one reads, one sleeps. The sleeper holds nobody up, and loses nothing.
 *
 *     node examples/backpressure.ts
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'sluice';

const RECORDS = 50_000;
const topic = 'backpressure';
await using client = await connect();
await client.admin.createTopic({ name: topic, partitions: 1, ifNotExists: true });
const quick = await client.subscribe(topic, { name: 'quick' });
const sleeper = await client.subscribe(topic, { name: 'sleeper', bufferBytes: 64 * 1024 });

async function count(subscription: typeof quick): Promise<number> {
  let records = 0;
  for await (const batch of subscription.batches()) {
    records += batch.recordCount;
    if (records >= RECORDS) break;
  }
  return records;
}

const started = performance.now();
const reading = count(quick);
const producer = client.producer();
const value = Buffer.alloc(1024, 'x');
for (let i = 0; i < RECORDS; i++) {
  while (!producer.offer({ topic, value })) await producer.ready(); // the buffer is full: wait for room
}
await producer.flush();
console.log(`quick read ${await reading} records in ${(performance.now() - started).toFixed(0)} ms`);
console.log(`meanwhile the sleeper holds ${sleeper.stats().bufferedBytes} bytes here`);
const lag = (await client.admin.listSubscriptions()).find(({ name }) => name === 'sleeper');
console.log(`and is ${lag?.lagRecords ?? 0} records behind at the broker, which keeps no queue for it`);
await sleep(500);
console.log(`awake: read ${await count(sleeper)} records, none lost`);
