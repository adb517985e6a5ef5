/** A node with topics on disk that is killed again and again while it is published to. */
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Client } from '../../src/client/index.ts';
import { SeededRandom } from '../../test/support/seeded-random.ts';
import { NodeProcess } from '../support/node-process.ts';
import { NumberedPublishing, NumberedReading } from '../support/numbered-records.ts';

const KILLS = Number(process.env['KILLS'] ?? 30);
const SEED = Number(process.env['SEED'] ?? Date.now() % 1e9);
/** Silence alone tells a client within seconds that its node is gone. */
const LIMITS = { idleTimeoutMs: 3000, keepAliveMs: 500 };
const NUMBERING = { topic: 'ledger', keys: 20, depth: 8 };

let node: NodeProcess;
let resources: AsyncDisposableStack;

beforeEach(async () => {
  resources = new AsyncDisposableStack();
  node = resources.use(await NodeProcess.start());
});
afterEach(() => resources.disposeAsync());

async function connect(): Promise<Client> {
  const client = await node.connect({ limits: LIMITS, reconnect: { maxDelayMs: 100 } });
  return resources.adopt(client, () => client.close());
}

/** Starts the node again; now and then it is killed while it is still starting. */
async function comeBack(random: SeededRandom): Promise<void> {
  while (random.chance(0.2)) {
    const starting = node.restart().catch(() => undefined);
    await pause(random.below(1200));
    await node.kill('SIGKILL');
    await starting;
  }
  await node.restart();
}

describe('a node killed at any moment', () => {
  it(
    `has every acknowledged record once and in order after ${KILLS} kills, seed ${SEED}`,
    async () => {
      const random = new SeededRandom(SEED);
      const client = await connect();
      const { topic, keys } = NUMBERING;
      await client.admin.createTopic({
        name: topic,
        partitions: 3,
        settings: { storage: 'disk', retentionBytes: 0, retentionMs: 0 },
      });
      const following = new NumberedReading(await (await connect()).subscribe(topic), keys);
      const publishing = new NumberedPublishing(client.producer(), NUMBERING);
      for (let kill = 0; kill < KILLS; kill++) {
        await publishing.more(random.pick([1, 10, 200, 2000]));
        await pause(random.below(50));
        await node.kill('SIGKILL');
        await comeBack(random);
      }
      const sent = await publishing.stop();
      const total = sent.reduce((sum, count) => sum + count, 0);
      const afterwards = new NumberedReading(
        await (await connect()).subscribe(topic, { from: 'earliest' }),
        keys,
      );
      await Promise.all([following.count(total), afterwards.count(total)]);
      await pause(200);

      expect(publishing.refusals).toEqual([]);
      expect(publishing.acknowledged).toEqual(sent);
      for (const reading of [afterwards, following]) {
        expect(reading.faults).toEqual([]);
        expect(reading.numbers.map(({ length }) => length)).toEqual(sent);
        expect(reading.gaps).toEqual([]);
      }
    },
    60_000 + KILLS * 6000,
  );
});
