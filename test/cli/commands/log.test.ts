import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DataDirLock } from '../../../src/coordination/embedded/data-dir-lock.ts';
import { StateFile } from '../../../src/coordination/embedded/state-file.ts';
import { systemClock } from '../../../src/kernel/system-clock.ts';
import { DiskLog } from '../../../src/log/disk/disk-log.ts';
import { createDiskShared } from '../../../src/log/disk/disk-shared.ts';
import { nodeFileSystem } from '../../../src/log/disk/node-file-system.ts';
import { SPARE_ROOM } from '../../../src/log/disk/spare-room.ts';
import { NO_STATE } from '../../../src/log/log-state.ts';
import { stampBatch } from '../../../src/wire/record-batch.ts';
import { batchOf } from '../../support/batch.ts';
import { topicSettings } from '../../support/topic-settings.ts';
import { KEEP_ALL, NO_OBSERVER } from '../../log/disk/open-disk-log.ts';
import type { Run } from '../fake-terminal.ts';
import { runHere } from '../fake-terminal.ts';

const LEDGER = '00000000-0000-4000-8000-000000000001';
const AUDIT = '00000000-0000-4000-8000-000000000002';
const SETTINGS = topicSettings({ storage: 'disk', retentionBytes: 0, batchMaxBytes: 4096, tombstoneMs: 1 });
let folder: string;
let data: string;

const run = (...argv: string[]): Promise<Run> => runHere(['log', ...argv], { folder });
const directoryOf = (topicId: string, partition: number): string =>
  join(data, 'topics', topicId, String(partition));

/** Writes a partition of six batches with two records each, two or three in a segment. */
async function write(topicId: string, name: string, partition: number): Promise<void> {
  const directory = directoryOf(topicId, partition);
  const log = await DiskLog.open({
    directory,
    clock: systemClock,
    firstOffset: 0,
    settings: { ...KEEP_ALL, segmentBytes: 250 },
    state: NO_STATE,
    shared: createDiskShared(nodeFileSystem),
    observer: NO_OBSERVER,
  });
  for (let n = 0; n < 6; n++) {
    const records = [
      { key: `k${n}`, value: `v${n}` },
      { key: null, value: null },
    ];
    const batch = batchOf(records, n === 2 ? { producerId: 7, producerEpoch: 1, baseSequence: 4 } : {});
    stampBatch(batch, log.logEnd, 3);
    log.append(batch);
  }
  await log.close();
  await writeFile(join(data, 'topics', topicId, 'topic.json'), JSON.stringify({ name }));
}

/** What a node on its own keeps of a topic whose partitions have been begun. */
async function begin(id: string, name: string, partitions: number): Promise<void> {
  const state = {
    definition: { name, id, partitions, settings: SETTINGS, createdMs: 1 },
    offsetCeilings: new Array<number>(partitions).fill(1),
  };
  const path = join(data, 'coordination', 'topics');
  await mkdir(path, { recursive: true });
  await StateFile.create(join(path, `${name}.json`), state);
}

/** The segments of a partition, oldest first. */
async function segments(topicId = LEDGER, partition = 0): Promise<string[]> {
  const directory = directoryOf(topicId, partition);
  const names = (await readdir(directory)).filter((name) => name.endsWith('.log'));
  return names.sort().map((name) => join(directory, name));
}

async function damage(path: string, position: number): Promise<void> {
  const bytes = await readFile(path);
  bytes[position]! ^= 1;
  await writeFile(path, bytes);
}

/** Every file below a folder, with its bytes. */
async function contents(): Promise<Map<string, string>> {
  const names = await readdir(data, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return new Map(
    await Promise.all(files.sort().map(async (path) => [path, await readFile(path, 'hex')] as const)),
  );
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-log-'));
  data = join(folder, 'sluice-data');
  await write(LEDGER, 'ledger', 0);
  await write(LEDGER, 'ledger', 1);
  await write(AUDIT, 'audit', 0);
});
afterEach(() => rm(folder, { recursive: true }));

describe('log verify', () => {
  it('shows every partition and ends with 0 when all is well', async () => {
    const { exitCode, stdout, stderr } = await run('verify');
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    const lines = stdout.trimEnd().split('\n');
    expect(lines.map((line) => line.split(/\s+/).slice(0, 2))).toEqual([
      ['TOPIC', 'PARTITION'],
      ['audit', '0'],
      ['ledger', '0'],
      ['ledger', '1'],
    ]);
    expect(lines[1]).toMatch(/ 6 +12 +0–12 +ok$/);
  });

  it('looks at the other partitions where one cannot be read', async () => {
    const [first] = await segments(LEDGER, 0);
    await rm(first!);
    await mkdir(first!);
    const { exitCode, stdout, stderr } = await run('verify');
    expect({ exitCode, stderr }).toEqual({ exitCode: 7, stderr: '' });
    expect(stdout).toMatch(/^ledger +0 .* damaged$/m);
    expect(stdout).toMatch(/^ledger +1 .* ok$/m);
  });

  it.each(['segments', 'a partition', 'the topic'])('takes %s that are gone for damage', async (what) => {
    await begin(LEDGER, 'ledger', 2);
    const gone = { 'a partition': directoryOf(LEDGER, 1), 'the topic': join(data, 'topics', LEDGER) }[what];
    const files = gone === undefined ? await segments(LEDGER, 1) : [gone];
    for (const path of files) await rm(path, { recursive: true });
    const { exitCode, stdout } = await run('verify');
    expect(exitCode).toBe(7);
    expect(stdout).toMatch(/^ledger +1 +0 .* damaged$/m);
    expect(stdout).toContain(`damage: ${directoryOf(LEDGER, 1)}`);
  });

  it('prints JSON', async () => {
    const { stdout } = await run('verify', '--topic', 'audit', '-o', 'json');
    expect(JSON.parse(stdout)).toMatchObject([
      {
        topic: 'audit',
        topicId: AUDIT,
        partition: 0,
        directory: directoryOf(AUDIT, 0),
        segments: (await segments(AUDIT)).length,
        batches: 6,
        records: 12,
        logStart: 0,
        logEnd: 12,
        findings: [],
      },
    ]);
  });

  it('ends with 7 when a batch is damaged, and says where', async () => {
    const [path] = await segments();
    await damage(path!, 70);
    const { exitCode, stdout } = await run('verify');
    expect(exitCode).toBe(7);
    expect(stdout).toMatch(/^ledger +0 .* damaged$/m);
    expect(stdout).toContain(`damage: ${path!} at byte 0: `);
  });

  it('ends with 0 when the next start puts right what is wrong', async () => {
    const [path] = await segments();
    await rm(path!.replace('.log', '.index'));
    const { exitCode, stdout } = await run('verify');
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^ledger +0 .* ok, see below$/m);
    expect(stdout).toContain(`mended: ${path!.replace('.log', '.index')}: `);
  });

  it('looks only at the topic and the partition it is asked for, by name or id', async () => {
    await damage((await segments())[0]!, 70);
    expect((await run('verify', '--topic', 'ledger', '--partition', '1')).exitCode).toBe(0);
    expect((await run('verify', '--topic', LEDGER, '--partition', '0')).exitCode).toBe(7);
    expect((await run('verify', '--topic', 'audit')).exitCode).toBe(0);
  });

  it('ends with 5 when there is no such topic or partition', async () => {
    expect(await run('verify', '--topic', 'nowhere')).toMatchObject({ exitCode: 5 });
    expect(await run('verify', '--partition', '9')).toMatchObject({ exitCode: 5 });
  });

  it('finds the data directory as serve does', async () => {
    const named = await runHere(['log', 'verify', '--data', data]);
    expect(named.exitCode).toBe(0);
    const missing = await runHere(['log', 'verify', '--data', join(folder, 'nowhere')]);
    expect(missing.exitCode).toBe(2);
    expect(missing.stderr).toMatch(/^sluice: INVALID_ARGUMENT: there is no data directory/);
  });

  it('says that there is nothing when there is nothing', async () => {
    await rm(join(data, 'topics'), { recursive: true });
    expect(await run('verify')).toMatchObject({ exitCode: 0, stdout: 'No topics on disk.\n' });
  });

  it('refuses while a node runs', async () => {
    const lock = DataDirLock.take(data);
    const { exitCode, stderr } = await run('verify');
    lock[Symbol.dispose]();
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^sluice: DATA_DIR_LOCKED: /);
  });

  it('changes nothing, not even a lock file', async () => {
    const before = await contents();
    await damage((await segments())[0]!, 70);
    await damage((await segments())[0]!, 70);
    await run('verify');
    await run('dump', 'ledger', '0');
    expect(await contents()).toEqual(before);
  });
});

describe('log dump', () => {
  it('prints a line for each batch', async () => {
    const { exitCode, stdout } = await run('dump', 'ledger', '0');
    expect(exitCode).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    expect(lines).toHaveLength(6);
    expect(lines[0]).toBe('0–1 2 records 79 B none epoch 3 1970-01-01T00:00:01Z 00000000000000000000.log@0');
    expect(lines[2]).toContain(' producer 7/1 sequence 4 ');
  });

  it('prints a JSON object for each batch', async () => {
    const { stdout } = await run('dump', 'ledger', '0', '--from', '5', '--count', '1', '-o', 'json');
    expect(JSON.parse(stdout)).toMatchObject({
      baseOffset: 4,
      lastOffset: 5,
      records: 2,
      codec: 'none',
      leaderEpoch: 3,
      maxTimestamp: '1970-01-01T00:00:01.000Z',
      producerId: 7,
      producerEpoch: 1,
      baseSequence: 4,
    });
  });

  it('prints records from an offset on, as many as wanted', async () => {
    const { stdout } = await run('dump', 'ledger', '0', '--records', '--from', '3', '--count', '3');
    expect(stdout).toBe('3\t\t\n4\tk2\tv2\n5\t\t\n');
  });

  it('prints records as JSON objects, over all segments', async () => {
    const { stdout } = await run('dump', 'ledger', '0', '--records', '-o', 'json');
    const records = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(records).toHaveLength(12);
    expect(records[10]).toEqual({
      topic: 'ledger',
      partition: 0,
      offset: 10,
      timestamp: '1970-01-01T00:00:01.000Z',
      key: 'k5',
      value: 'v5',
    });
  });

  it('prints nothing behind the end', async () => {
    expect(await run('dump', 'ledger', '0', '--from', '12')).toMatchObject({ exitCode: 0, stdout: '' });
  });

  it('prints what comes before damage, and ends with 7', async () => {
    const path = (await segments())[1]!;
    await damage(path, 70);
    const { exitCode, stdout, stderr } = await run('dump', 'ledger', '0');
    expect(exitCode).toBe(7);
    expect(stdout.trimEnd().split('\n').length).toBeGreaterThan(1);
    expect(stderr).toMatch(/^sluice: CORRUPT_LOG: .* is damaged at byte 0: /);
  });

  it('leaves out a write that was not finished, and says so', async () => {
    const path = (await segments()).at(-1)!;
    const bytes = await readFile(path);
    await writeFile(path, Buffer.concat([bytes, bytes.subarray(0, 10)]));
    const { exitCode, stdout, stderr } = await run('dump', 'ledger', '0');
    expect(exitCode).toBe(0);
    expect(stdout.trimEnd().split('\n')).toHaveLength(6);
    expect(stderr).toBe('10 bytes of a write that was not finished are left out\n');
  });

  it('takes room for the next batch for the end, and zeros for a write that came to nothing', async () => {
    const path = (await segments()).at(-1)!;
    const bytes = await readFile(path);
    await writeFile(path, Buffer.concat([bytes, SPARE_ROOM.subarray(0, 100)]));
    expect((await run('dump', 'ledger', '0')).stderr).toBe('');
    await writeFile(path, Buffer.concat([bytes, Buffer.alloc(100)]));
    const { stderr } = await run('dump', 'ledger', '0');
    expect(stderr).toBe('100 bytes of a write that was not finished are left out\n');
  });

  it('ends with 5 when there is no such topic or partition', async () => {
    expect((await run('dump', 'nowhere', '0')).exitCode).toBe(5);
    expect((await run('dump', 'ledger', '2')).exitCode).toBe(5);
  });
});
