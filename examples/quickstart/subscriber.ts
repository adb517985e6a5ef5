/** Subscribes as often as it is told, on one connection; a subscription may stop reading for a while. */
import { createHistogram } from 'node:perf_hooks';
import type { RecordableHistogram } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '../../src/client/index.ts';
import { KeyDigests } from './key-digests.ts';
import { task, tell } from './messages.ts';
import type { SubscriptionTask } from './messages.ts';

const REPORT_MS = 250;
const { url, ca, topic, records: expected, subscriptions } = task();
const client = await connect(url, { ca, clientId: subscriptions.map(({ name }) => name).join('+') });

async function follow({ name, stall }: SubscriptionTask): Promise<void> {
  const subscription = await client.subscribe(topic, { from: 'earliest', name });
  const digests = new KeyDigests();
  const overall = createHistogram();
  const interval = createHistogram();
  let records = 0;
  let stalled = false;
  const report = setInterval(() => {
    void tell({ kind: 'progress', name, records, p99Ms: p99(interval), stalled });
    interval.reset();
  }, REPORT_MS);

  for await (const record of subscription) {
    digests.add(record.key!.toString(), record.value!);
    // Record timestamps are whole milliseconds, so what is measured is up to a millisecond too much, never too little.
    const micros = Math.max(
      1,
      Math.round((performance.timeOrigin + performance.now() - record.timestampMs) * 1000),
    );
    overall.record(micros);
    interval.record(micros);
    records += 1;
    if (records === stall?.afterRecords) {
      stalled = true;
      await sleep(stall.forMs);
      stalled = false;
    }
    if (records === expected) break;
  }
  clearInterval(report);
  await tell({ kind: 'done', name, records, p99Ms: p99(overall), digests: digests.finish() });
}

function p99(histogram: RecordableHistogram): number | undefined {
  return histogram.count === 0 ? undefined : histogram.percentile(99) / 1000;
}

const following = Promise.all(subscriptions.map(follow));
void tell({ kind: 'ready' });
await following;
await client.close();
process.disconnect();
