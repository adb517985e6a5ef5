import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Served } from './sluice.ts';
import { Place, jsonLines } from './sluice.ts';

let place: Place;
let node: Served;

interface Verified {
  readonly topic: string;
  readonly partition: number;
  readonly directory: string;
  readonly records: number;
  readonly logEnd: number;
  readonly findings: readonly { readonly kind: string; readonly file: string }[];
}

const log = (...argv: string[]) => place.run(['log', ...argv, '--data', join(place.folder, 'data')]);

async function verify(): Promise<Verified[]> {
  return JSON.parse((await log('verify', '-o', 'json')).stdout) as Verified[];
}

async function onNode(...argv: string[]): Promise<void> {
  expect(await place.run([...argv, '--server', node.quic])).toMatchObject({ exitCode: 0 });
}

beforeAll(async () => {
  place = new Place();
  node = await place.serve();
  await onNode('topic', 'create', 'ledger', '--storage', 'disk', '--partitions', '2');
  await onNode('topic', 'create', 'prices');
  for (const value of ['one', 'two', 'three']) await onNode('pub', 'ledger/a', value, '--partition', '0');
  await onNode('pub', 'prices', 'in memory');
});
afterAll(() => place.leave());

describe('sluice log', () => {
  it('refuses while the node runs', async () => {
    for (const argv of [['verify'], ['dump', 'ledger', '0']]) {
      const run = await log(...argv);
      expect(run).toMatchObject({ exitCode: 1, stdout: '' });
      expect(run.stderr).toMatch(/^sluice: DATA_DIR_LOCKED: [^\n]+\n$/);
    }
  });

  it('finds nothing wrong after a node was killed, and all that it acknowledged', async () => {
    node.running.child.kill('SIGKILL');
    await node.running.finished;
    const { exitCode } = await log('verify');
    expect(exitCode).toBe(0);
    expect(await verify()).toMatchObject([
      { topic: 'ledger', partition: 0, records: 3, logEnd: 3 },
      { topic: 'ledger', partition: 1, records: 0, logEnd: 0 },
    ]);
  });

  it('prints what is stored', async () => {
    const { stdout } = await log('dump', 'ledger', '0', '--records', '-o', 'json');
    expect(jsonLines(stdout)).toMatchObject([
      { topic: 'ledger', partition: 0, offset: 0, key: 'a', value: 'one' },
      { offset: 1, value: 'two' },
      { offset: 2, value: 'three' },
    ]);
  });

  it('leaves a node that starts again everything as it was', async () => {
    node = await place.serve();
    const read = await place.run([
      'sub',
      'ledger',
      '--from',
      'earliest',
      '--count',
      '3',
      '--server',
      node.quic,
    ]);
    expect(read).toMatchObject({ exitCode: 0, stdout: 'one\ntwo\nthree\n' });
    node.running.child.kill('SIGTERM');
    await node.running.finished;
    expect((await verify()).flatMap(({ findings }) => findings)).toEqual([]);
  });

  it('says with exit code 7 where a stored batch is damaged', async () => {
    const [{ directory }] = (await verify()) as [Verified];
    const name = (await readdir(directory)).find((one) => one.endsWith('.log'))!;
    const path = join(directory, name);
    const bytes = await readFile(path);
    bytes[70]! ^= 1;
    await writeFile(path, bytes);
    const { exitCode, stdout } = await log('verify', '--topic', 'ledger');
    expect(exitCode).toBe(7);
    expect(stdout).toContain(`damage: ${path} at byte 0: `);
    expect(await log('dump', 'ledger', '0')).toMatchObject({ exitCode: 7, stdout: '' });
    expect(await log('verify', '--partition', '1')).toMatchObject({ exitCode: 0 });
  });
});
