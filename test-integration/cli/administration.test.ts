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
