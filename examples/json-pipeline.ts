/**
 * Reads JSON from one topic, changes it, and publishes it to another; the key, and with it the order, is kept.
 *
 *     node examples/json-pipeline.ts [count]     ends after that many readings (default 5)
 */
import { connect } from 'sluice';

interface Reading {
  readonly celsius: number;
}

const count = Number(process.argv[2] ?? 5);
await using client = await connect();
const producer = client.producer({ compression: 'zstd' });
const readings = await client.subscribe('readings/+/temp');

for (let i = 0; i < count; i++) {
  await producer.publish(`readings/room${i % 2}/temp`, JSON.stringify({ celsius: 20 + i }));
}

let done = 0;
for await (const record of readings) {
  const { celsius } = record.json<Reading>();
  const value = JSON.stringify({ fahrenheit: celsius * 1.8 + 32 });
  const { offset } = await producer.send({ topic: 'readings-us', key: record.key, value });
  console.log(`${record.keyText() ?? ''}: ${value} stored at ${offset ?? '?'}`);
  if (++done === count) break; // ends the subscription
}
