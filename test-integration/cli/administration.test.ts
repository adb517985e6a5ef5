import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Served } from './sluice.ts';
import { Place } from './sluice.ts';

let place: Place;
let node: Served;
beforeAll(async () => {
  place = new Place();
  node = await place.serve();
});
afterAll(() => place.leave());

async function json(...argv: string[]): Promise<unknown> {
  const run = await place.run([...argv, '-o', 'json', '--server', node.quic]);
  expect(run).toMatchObject({ exitCode: 0, stderr: '' });
  return JSON.parse(run.stdout);
}

async function text(...argv: string[]): Promise<string> {
  const run = await place.run([...argv, '--server', node.quic]);
  expect(run).toMatchObject({ exitCode: 0, stderr: '' });
  return run.stdout;
}

describe('sluice topic', () => {
  it('creates with settings, describes, alters and deletes', async () => {
    const settings = [
      '--partitions',
      '2',
      '--retention-bytes',
      '8MiB',
      '--retention',
      '1h',
      '--timestamps',
      'append',
    ];
    expect(await json('topic', 'create', 'prices', ...settings)).toMatchObject({
      name: 'prices',
      settings: {
        storage: 'memory',
        retentionBytes: 8 * 1024 ** 2,
        retentionMs: 3_600_000,
        timestamps: 'append',
      },
    });
    await json('topic', 'alter', 'prices', '--partitions', '4', '--retention', '0');
    const altered = (await json('topic', 'describe', 'prices')) as { partitions: unknown[] };
    expect(altered).toMatchObject({ settings: { retentionMs: 0, retentionBytes: 8 * 1024 ** 2 } });
    expect(altered.partitions).toHaveLength(4);
    expect(await json('topic', 'delete', 'prices')).toEqual({ deleted: ['prices'] });
    expect(await json('topic', 'list')).toEqual([]);
  });

  it('keeps a topic on disk as it is told to, and shows it', async () => {
    const settings =
      '--storage disk --retention 7d --retention-bytes 10GiB --retention-records 1000000 --cleanup compact,delete ' +
      '--flush interval --flush-interval 2s --tombstone-retention 12h';
    expect(await json('topic', 'create', 'ledger', ...settings.split(' '))).toMatchObject({
      settings: {
        storage: 'disk',
        retentionMs: 604_800_000,
        retentionBytes: 10 * 1024 ** 3,
        retentionRecords: 1_000_000,
        cleanup: 'compact,delete',
        flush: 'interval',
        flushIntervalMs: 2000,
        tombstoneMs: 43_200_000,
      },
    });
    await json(
      'topic',
      'alter',
      'ledger',
      '--flush',
      'always',
      '--cleanup',
      'delete',
      '--retention-bytes',
      '0',
    );
    await text('pub', 'ledger', 'a', 'b', 'c');
    const shown = await text('topic', 'describe', 'ledger');
    expect(shown).toMatch(/^storage +disk\non disk +\d+ B\nflush +always\ncleanup +delete\n/m);
    // What has no bound has none, for whatever it would be one.
    expect(shown).toMatch(
      /^retention bytes +no bound\nretention +7 d\nretention records +1,000,000 per partition$/m,
    );
    await json('topic', 'delete', 'ledger');
  });

  it('keeps one copy on a node on its own', async () => {
    const created = await json(
      'topic',
      'create',
      'single',
      '--replication-factor',
      '1',
      '--unclean-election',
    );
    expect(created).toMatchObject({
      settings: { replicationFactor: 1, minInsync: 1, uncleanElection: true },
    });
    const run = await place.run([
      'topic',
      'alter',
      'single',
      '--replication-factor',
      '3',
      '--server',
      node.quic,
    ]);
    expect([run.exitCode, run.stderr]).toEqual([2, expect.stringContaining('need a cluster')]);
    const altered = await json('topic', 'alter', 'single', '--no-unclean-election');
    expect(altered).toMatchObject({ settings: { replicationFactor: 1, uncleanElection: false } });
    await json('topic', 'delete', 'single');
  });

  it.each([
    ['--cleanup compact', /INVALID_ARGUMENT.*cleanup.*--storage disk/],
    ['--flush os', /INVALID_ARGUMENT.*flush.*--storage disk/],
    ['--retention-bytes 1KiB', /INVALID_ARGUMENT.*retentionBytes.*batchMaxBytes/],
  ])('refuses %s for a topic in memory, and says what would do', async (flags, text) => {
    const run = await place.run(['topic', 'create', 'kept', ...flags.split(' '), '--server', node.quic]);
    expect(run).toMatchObject({ exitCode: 2, stderr: expect.stringMatching(text) as string });
  });

  it('says that memory is not flushed where it is to be always', async () => {
    const run = await place.run(['topic', 'create', 'unflushed', '--flush', 'always', '--server', node.quic]);
    expect(run).toMatchObject({ exitCode: 0, stderr: expect.stringContaining('--storage disk') as string });
  });

  it('refuses to retain less than a batch also of a topic that is there', async () => {
    await json('topic', 'create', 'narrow', '--retention-bytes', '1MiB', '--batch-max-bytes', '64KiB');
    for (const flags of [
      ['--retention-bytes', '63KiB'],
      ['--batch-max-bytes', '2MiB'],
    ]) {
      const run = await place.run(['topic', 'alter', 'narrow', ...flags, '--server', node.quic]);
      expect(run).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('batchMaxBytes') as string });
    }
    await json('topic', 'alter', 'narrow', '--retention-bytes', '64KiB');
  });

  it('deletes the oldest records of a partition', async () => {
    await json('topic', 'create', 'trimmed', '--partitions', '2');
    await text('pub', 'trimmed', '--partition', '1', 'a', 'b', 'c');
    const deleted = await json('topic', 'delete-records', 'trimmed', '--partition', '1', '--before', '2');
    expect(deleted).toEqual([{ topic: 'trimmed', partition: 1, offset: 2 }]);
    expect(await json('topic', 'delete-records', 'trimmed', '--before', 'latest')).toMatchObject([
      { offset: 0 },
      { offset: 3 },
    ]);
  });

  it('lists as a table with what is retained', async () => {
    await text('pub', 'listed', 'a', 'b');
    expect(await text('topic', 'list')).toMatch(/^TOPIC .*\n(.*\n)*listed +1 +2 +\d+ B +0 +memory\n/m);
  });
});

describe('sluice status', () => {
  it('shows subscriptions with their lag', async () => {
    await text('pub', 'followed', 'x');
    const running = place.start([
      'sub',
      'followed',
      '--from',
      'earliest',
      '--name',
      'follower',
      '--server',
      node.quic,
    ]);
    await running.until(/x\n/);
    const { subscriptions } = (await json('status')) as { subscriptions: Record<string, unknown>[] };
    expect(subscriptions).toMatchObject([
      {
        name: 'follower',
        clientId: 'sluice-cli',
        topic: 'followed',
        partition: 0,
        nextOffset: 1,
        lagRecords: 0,
        gapRecords: 0,
      },
    ]);
    expect(await text('status')).toMatch(/^follower +sluice-cli +followed\/0 +1 +0 /m);
    running.child.kill('SIGINT');
    await running.finished;
  });
});

describe('sluice cluster', () => {
  it('shows a node on its own as a cluster of one, which shares with nobody', async () => {
    const nodes = (await json('cluster', 'nodes')) as { nodeId: string; clientUrls: string[] }[];
    expect(nodes).toMatchObject([{ nodeId: 'node-1', draining: false, peerAddress: '' }]);
    expect(nodes[0]!.clientUrls).toContain(node.quic);
    expect(await json('cluster', 'status')).toMatchObject({
      leaseHeld: true,
      leaderless: 0,
      rebalancing: false,
    });
    for (const argv of [['drain', 'node-1'], ['rebalance']]) {
      const { exitCode, stderr } = await place.run(['cluster', ...argv, '--server', node.quic]);
      expect([exitCode, stderr]).toEqual([1, expect.stringContaining('UNSUPPORTED')]);
    }
  });
});

describe('sluice bench', () => {
  it('counts every record it sent at every subscriber, and leaves no topic behind', async () => {
    const before = await json('topic', 'list');
    expect(
      await json('bench', '--records', '20000', '--subscribers', '2', '--compression', 'zstd'),
    ).toMatchObject({
      sent: 20_000,
      received: 40_000,
      latencyMs: { p99: expect.any(Number) as number },
    });
    expect(await json('topic', 'list')).toEqual(before);
  });
});
