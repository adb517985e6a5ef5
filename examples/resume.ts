/**
 * Reads some records, remembers the place in a file, and goes on there when it is started again.
 *
 *     node examples/resume.ts [topic] [file]     run it several times
 */
import { existsSync } from 'node:fs';
import { readFile, rename, writeFile } from 'node:fs/promises';
import type { Position } from 'sluice';
import { connect } from 'sluice';

const topic = process.argv[2] ?? 'resume';
const file = process.argv[3] ?? 'positions.json';
const resume = existsSync(file) ? (JSON.parse(await readFile(file, 'utf8')) as Position[]) : [];

await using client = await connect();
const producer = client.producer();
const now = new Date().toISOString();
for (let i = 1; i <= 5; i++) await producer.send({ topic, value: `${now} no. ${i}` });

// Partitions that the file does not name begin at their oldest record.
const subscription = await client.subscribe(topic, { from: 'earliest', resume });
let read = 0;
for await (const record of subscription) {
  console.log(`${record.partition}:${record.offset} ${record.text()}`);
  if (++read === 3) break;
}

// Positions are those after the last record handed out, also when the subscription has ended.
await writeFile(`${file}.new`, JSON.stringify(subscription.positions()));
await rename(`${file}.new`, file);
console.log(
  `will go on at ${subscription
    .positions()
    .map(({ partition, offset }) => `${partition}:${offset}`)
    .join(' ')}`,
);
