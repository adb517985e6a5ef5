/**
 * A client process: subscribes, publishes numbered records, and says as JSON what arrived.
 *
 *     node loss-client.ts URL CA TOPIC DELIVERY RECORDS
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { connect } from '../../src/client/index.ts';

/** What the process prints when it is done. */
export interface LossOutcome {
  /** Number of each record that arrived, in the order of arrival. */
  readonly arrived: readonly number[];
  /** Offsets of the same records. */
  readonly offsets: readonly number[];
  readonly gaps: number;
  /** Datagram mode: offsets that were passed over, for whatever reason. */
  readonly missing: number;
}

const VALUE_BYTES = 512;
const [url, ca, topic, delivery, records] = process.argv.slice(2) as [string, string, string, string, string];
const wanted = Number(records);

// Two connections: what is published must not share its fate with what is delivered.
const reading = await connect(url, { ca, timeoutMs: 60_000 });
const writing = await connect(url, { ca, timeoutMs: 60_000 });
const subscription = await reading.subscribe(topic, { delivery: delivery as 'ordered' });
const reliable = await reading.subscribe(topic);

const arrived: number[] = [];
const offsets: number[] = [];
let gaps = 0;
subscription.on('gap', () => (gaps += 1));
const read = (async (): Promise<void> => {
  for await (const record of subscription) {
    arrived.push(Number(record.text().trimEnd()));
    offsets.push(record.offset);
    if (delivery !== 'datagram' && arrived.length === wanted) break;
  }
})();
const everythingSent = (async (): Promise<void> => {
  let count = 0;
  for await (const record of reliable) if (record.offset >= 0 && ++count === wanted) break;
  if (delivery !== 'datagram') return;
  // Nothing says that no datagram comes any more, but each was sent before the reliable stream was complete.
  do await nextTurn();
  while (subscription.stats().bufferedBytes > 0);
  await subscription.close();
})();

// Small batches, so that many packets have something to lose.
const producer = writing.producer({ batchBytes: 4096, lingerMs: 0 });
for (let n = 0; n < wanted; n += 1) {
  void producer.send({ topic, key: `key-${n % 7}`, value: String(n).padEnd(VALUE_BYTES) });
}
await producer.close();
await Promise.all([read, everythingSent]);
const { missingRecords, gapRecords, droppedRecords } = subscription.stats();
const outcome: LossOutcome = {
  arrived,
  offsets,
  gaps,
  missing: missingRecords + gapRecords + droppedRecords,
};
process.stdout.write(`${JSON.stringify(outcome)}\n`);
await Promise.all([reading.close(), writing.close()]);
