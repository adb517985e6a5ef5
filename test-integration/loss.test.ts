/** A node and its clients in two network namespaces, on a link that loses a tenth of all packets in each direction. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LossyNetwork } from '../bench/support/lossy-network.ts';
import type { LossOutcome } from './support/loss-client.ts';
import { NodeProcess } from './support/node-process.ts';
import { requireTools } from './support/system-tools.ts';

const CLIENT = fileURLToPath(new URL('support/loss-client.ts', import.meta.url));
const RECORDS = 1000;
const ALL = Array.from({ length: RECORDS }, (_, n) => n);
const run = promisify(execFile);

const resources = new AsyncDisposableStack();
let network: LossyNetwork;
let node: NodeProcess;

beforeAll(async () => {
  requireTools(['ip', 'nft']);
  network = resources.use(await LossyNetwork.create({ lossPercent: 10 }));
  const { address: host, name: namespace } = network.near;
  node = resources.use(
    await NodeProcess.start({ host, namespace, flags: ['--allow-anonymous', '--tls-listen', 'off'] }),
  );
});

afterAll(() => resources.disposeAsync());

/** What a client on the other side of the link publishes and reads. */
async function throughLoss(delivery: 'ordered' | 'unordered' | 'datagram'): Promise<LossOutcome> {
  const client = [
    process.execPath,
    CLIENT,
    node.url,
    node.ca,
    `lossy-${delivery}`,
    delivery,
    String(RECORDS),
  ];
  const { stdout } = await run('ip', ['netns', 'exec', network.far.name, ...client]);
  return JSON.parse(stdout) as LossOutcome;
}

describe('with a tenth of all packets lost in each direction', () => {
  it('an ordered subscription reads every record once and in order', async () => {
    const { arrived, gaps } = await throughLoss('ordered');
    expect(arrived).toEqual(ALL);
    expect(gaps).toBe(0);
  });

  it('an unordered subscription reads every record once', async () => {
    const { arrived } = await throughLoss('unordered');
    expect(arrived.toSorted((a, b) => a - b)).toEqual(ALL);
  });

  it('a datagram subscription reads some records once, and counts what it missed', async () => {
    const { arrived, offsets, missing } = await throughLoss('datagram');
    expect(arrived.length).toBeGreaterThan(RECORDS / 10);
    expect(new Set(arrived).size).toBe(arrived.length);
    // The topic is new and has one partition: a record's offset is its number.
    expect(offsets).toEqual(arrived);
    expect(missing).toBeGreaterThan(0);
    expect(missing + arrived.length).toBe(Math.max(...offsets) + 1);
  });
});
