/**
 * Adds up payments, each exactly once, though a group delivers at least once: the sum and how far it goes are stored in one step, and what
 * comes again is recognized by its offset.
 *
 *     node examples/idempotent-consumer.ts [file]     kill it whenever you like, and start it again
 *
 * With several members the state lies where all of them reach it, such as a row for each partition in a database, and is written
 * in one transaction with the effect. `next` of a row may then only grow: so a member that was taken for gone and still writes changes nothing.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { connect } from 'sluice';

interface State {
  cents: number;
  /** By partition, the first offset that is not in the sum. */
  next: Record<number, number>;
}

const topic = 'payments';
const file = process.argv[2] ?? 'payments.json';
const state: State = existsSync(file)
  ? (JSON.parse(readFileSync(file, 'utf8')) as State)
  : { cents: 0, next: {} };

await using client = await connect();
const producer = client.producer();
for (let cents = 1; cents <= 10; cents++)
  await producer.send({ topic, key: `customer ${cents % 3}`, value: `${cents}` });

// What is not committed at a crash comes again. The group only saves reading everything again: the file decides.
const group = client.group('bookkeeping', { topics: [topic], from: 'earliest', commit: 'manual' });
group.on('assigned', ({ partitions }) =>
  console.log(`reading ${partitions.map(({ partition, offset }) => `${partition}@${offset}`).join(' ')}`),
);

let booked = 0;
for await (const record of group) {
  const { partition, offset } = record;
  if (offset < (state.next[partition] ?? 0)) {
    console.log(`${partition}:${offset} is in the sum already`);
    continue;
  }
  state.cents += Number(record.text());
  state.next[partition] = offset + 1;
  writeFileSync(`${file}.new`, JSON.stringify(state));
  renameSync(`${file}.new`, file); // the sum and the place, together or not at all
  await group.commit(record);
  if (++booked === 10) break;
}
console.log(`${state.cents} cents`);
