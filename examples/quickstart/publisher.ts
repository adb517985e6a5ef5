/** Publishes the flights at a fixed rate, in the order of the file, keyed. */
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '../../src/client/index.ts';
import { readFlights } from './flights.ts';
import { KeyDigests } from './key-digests.ts';
import { task, tell } from './messages.ts';

const { url, ca, topic, records, rate } = task();
const flights = readFlights(records);
const client = await connect(url, { ca, clientId: 'publisher' });
const producer = client.producer({ compression: 'none' });
const digests = new KeyDigests();
void tell({ kind: 'ready' });

const started = performance.now();
let sent = 0;
let reported = 0;
while (sent < flights.length) {
  const due = Math.min(flights.length, Math.ceil(((performance.now() - started) / 1000) * rate));
  for (; sent < due; sent++) {
    const { key, value } = flights[sent]!;
    digests.add(key, value);
    if (!producer.offer({ topic, key, value })) await producer.ready();
  }
  if (sent - reported >= rate / 4) {
    reported = sent;
    void tell({ kind: 'progress', name: 'publisher', records: sent, p99Ms: undefined, stalled: false });
  }
  await sleep(2);
}
await producer.flush();
await tell({ kind: 'done', name: 'publisher', records: sent, p99Ms: undefined, digests: digests.finish() });
await client.close();
process.disconnect();
