/**
 * A pool of workers on one queue. What fails is tried again, later and later; what fails three times becomes a dead letter.
 *
 *     node examples/worker-pool.ts [topic] [workers]     run it in several terminals: they share the work
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'sluice';

const topic = process.argv[2] ?? 'thumbnails';
const concurrency = Number(process.argv[3] ?? 4);
await using client = await connect();
await client.admin.queues.configure(topic, { maxAttempts: 3, backoffMs: 200, leaseMs: 10_000 });

const producer = client.producer();
for (let i = 1; i <= 20; i++) producer.offer({ topic, value: `picture ${i}` });
producer.offer({ topic, value: 'broken picture' });
await producer.publish(topic, 'picture of tomorrow', {
  deliverAt: new Date(Date.now() + 2000),
  ttlMs: 60_000,
});

const queue = client.queue(topic, { credit: 2 * concurrency });
queue.on('failed', ({ job, error }) =>
  console.log(`attempt ${job.attempt} at '${job.record.text()}': ${String(error)}`),
);
// Somebody else has these by now: whatever was done for them may be done twice.
queue.on('unsettled', ({ first, end, error }) => console.log(`${first} to ${end - 1}: ${error.code}`));

const stop = new AbortController();
process.once('SIGINT', () => stop.abort());
void sleep(5000, undefined, { ref: false }).then(() => stop.abort());
// Acknowledged when the handler returns, given back when it throws; the lease is extended while it works.
await queue.process(
  async ({ record, attempt }) => {
    await sleep(50);
    if (record.text().startsWith('broken')) throw new Error('this is no picture');
    console.log(`done: '${record.text()}', attempt ${attempt}`);
  },
  { concurrency, signal: stop.signal },
);

const letters = client.admin.deadLetters(topic);
for (const { record, reason, text } of await letters.list()) {
  console.log(`dead letter ${record.partition}:${record.offset} '${record.text()}': ${reason}, ${text}`);
}
console.log(`${await letters.purge()} dead letters thrown away`);
