/** The workload and its checker, tried on a node on its own: one that keeps its promises, and one that cannot. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Client } from '../../src/client/index.ts';
import { NodeProcess } from '../support/node-process.ts';
import { checkHistory } from '../support/workload/check-history.ts';
import type { History } from '../support/workload/history.ts';
import { longestPause } from '../support/workload/history.ts';
import { IMPATIENT, Workload } from '../support/workload/workload.ts';

const TOPIC = 'ledger';

let node: NodeProcess;
let resources: AsyncDisposableStack;

beforeEach(async () => {
  resources = new AsyncDisposableStack();
  node = resources.use(await NodeProcess.start());
});
afterEach(() => resources.disposeAsync());

const connect = async (): Promise<Client> => {
  const client = await node.connect({ limits: IMPATIENT, reconnect: { maxDelayMs: 500 } });
  return resources.adopt(client, () => client.close({ timeoutMs: 1000 }));
};

/** A node that is killed and started again under a workload. */
async function restarted(storage: 'memory' | 'disk'): Promise<History> {
  const { admin } = await connect();
  const settings = { storage, retentionBytes: 512 * 1024 * 1024, retentionMs: 0 };
  await admin.createTopic({ name: TOPIC, partitions: 3, settings });
  const workload = await Workload.start({ topic: TOPIC, connect });
  await workload.more(200);
  await node.kill('SIGKILL');
  await node.restart();
  await workload.more(200);
  return workload.stop({ afterwards: await connect() });
}

describe('a node on its own that is killed and started again', () => {
  it('keeps every promise with topics on disk', async () => {
    const history = await restarted('disk');
    expect(checkHistory(history)).toEqual([]);
    expect(longestPause(history).lengthMs).toBeGreaterThan(100);
  });

  it('loses records of topics in memory, which does not escape the checker', async () => {
    const kinds = new Set(checkHistory(await restarted('memory')).map(({ kind }) => kind));
    expect([...kinds]).toEqual(expect.arrayContaining(['gap', 'lost', 'vanished']));
  });
});
