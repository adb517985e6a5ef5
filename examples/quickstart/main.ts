/**
 * The quickstart: a node, a publisher and four subscriptions, each its own process, on 200,000 real flight records.
 *
 *     npm run quickstart -- [--records N] [--rate N] [--plain]
 *
 * `dashboard` and `stalled` share one connection. `stalled` stops reading for a while; nobody else notices, and it misses nothing.
 * In the end checksums per key prove that every subscription got every record, in the order of its key. Exit code 0 if they did.
 */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Client } from '../../src/client/index.ts';
import { connect } from '../../src/client/index.ts';
import { Display } from './display.ts';
import { differingKeys } from './key-digests.ts';
import type { Done, Message, Task } from './messages.ts';
import { startNode } from './node-process.ts';

const TOPIC = 'flights';
const STALL_MS = 4000;
const DRAW_EVERY_MS = 250;
const TIMEOUT_MS = 90_000;

const { values: options } = parseArgs({
  options: {
    records: { type: 'string', default: '200000' },
    rate: { type: 'string', default: '20000' },
    plain: { type: 'boolean', default: false },
  },
});
const records = Math.min(200_000, Number(options.records));
const rate = Number(options.rate);
if (!(records >= 1 && rate >= 1)) {
  console.error('usage: npm run quickstart -- [--records 1..200000] [--rate RECORDS_PER_SECOND] [--plain]');
  process.exit(2);
}

const done = new Map<string, Done>();
const children: ChildProcess[] = [];
let finishing = false;
const display = new Display(records, process.stdout.isTTY && !options.plain, [
  ['publisher', ''],
  ['dashboard', ''],
  ['stalled', 'same connection as dashboard'],
  ['archive', ''],
  ['alerts', ''],
]);

const node = await startNode();
process.on('SIGINT', () => void finish(130));
console.log(
  `node ready at ${node.url}; replaying ${records.toLocaleString('en-US')} flights at ${rate.toLocaleString('en-US')}/s\n`,
);
try {
  process.exitCode = (await run()) ? 0 : 1;
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}
await finish(process.exitCode);

async function run(): Promise<boolean> {
  const client = await connect(node.url, { ca: node.ca, clientId: 'quickstart' });
  await client.admin.createTopic({ name: TOPIC, partitions: 4 });
  const base = { url: node.url, ca: node.ca, topic: TOPIC, records, rate };
  const stall = { afterRecords: Math.ceil(records / 10), forMs: STALL_MS };
  await Promise.all([
    start('subscriber.ts', { ...base, subscriptions: [{ name: 'dashboard' }, { name: 'stalled', stall }] }),
    start('subscriber.ts', { ...base, subscriptions: [{ name: 'archive' }, { name: 'alerts' }] }),
  ]);
  await start('publisher.ts', { ...base, subscriptions: [] });

  const deadline = performance.now() + TIMEOUT_MS;
  while (done.size < 5 && performance.now() < deadline) {
    await showNow(client);
    await sleep(DRAW_EVERY_MS);
  }
  await showNow(client);
  await client.close();
  return verdict();
}

/** Starts a process and waits until it is connected. */
async function start(file: string, task: Task): Promise<void> {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), [JSON.stringify(task)]);
  children.push(child);
  const ready = once(child, 'message');
  child.on('message', (message: Message) => {
    if (message.kind === 'progress') display.update(message);
    if (message.kind !== 'done') return;
    done.set(message.name, message);
    display.update({ ...message, kind: 'progress', stalled: false });
  });
  child.on('exit', (code) => {
    if (code === 0 || finishing) return;
    console.error(`${file} ended with ${code}`);
    void finish(1);
  });
  await ready;
}

async function showNow(client: Client): Promise<void> {
  const lag = new Map<string, number>();
  for (const { name, lagRecords } of await client.admin.listSubscriptions())
    lag.set(name, (lag.get(name) ?? 0) + lagRecords);
  display.draw(lag, (await client.admin.nodeStatus()).rssBytes);
}

/** Compares what every subscription received with what was published. */
function verdict(): boolean {
  const published = done.get('publisher')?.digests ?? [];
  console.log(
    `\n${'subscription'.padEnd(14)}${'records'.padStart(10)}${'keys in order'.padStart(16)}${'p99 ms'.padStart(10)}   verdict`,
  );
  const good = ['dashboard', 'stalled', 'archive', 'alerts'].map((name) => {
    const of = done.get(name);
    const wrong = of === undefined ? published.length : differingKeys(published, of.digests).length;
    const ok = of?.records === records && wrong === 0 && published.length > 0;
    const keys = `${published.length - wrong}/${published.length}`;
    const p99 = of?.p99Ms?.toFixed(1) ?? '–';
    console.log(
      `${name.padEnd(14)}${String(of?.records ?? 0).padStart(10)}${keys.padStart(16)}${p99.padStart(10)}   ${ok ? 'complete' : 'FAILED'}${name === 'stalled' ? ` (did not read for ${STALL_MS / 1000} s)` : ''}`,
    );
    return ok;
  });
  const all = good.every(Boolean);
  const text = `every subscription got all ${records.toLocaleString('en-US')} records, each key in order (SHA-256 per key)`;
  console.log(all ? `\nPROVED: ${text}.` : `\nFAILED: not ${text}.`);
  return all;
}

/** Stops everything this process started. */
async function finish(code: number): Promise<void> {
  if (finishing) return;
  finishing = true;
  for (const child of children) child.kill();
  await node.stop();
  process.exit(code);
}
