import { beforeEach, describe, expect, it } from 'vitest';
import type { Finding, LogReport } from '../../../src/log/disk/log-check.ts';
import { checkLog } from '../../../src/log/disk/log-check.ts';
import type { DiskLog, DiskLogSettings } from '../../../src/log/disk/disk-log.ts';
import { NO_STATE } from '../../../src/log/log-state.ts';
import { batchBytes, stampBatch } from '../../../src/wire/record-batch.ts';
import { batchOf } from '../../support/batch.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FakeDisk } from '../../support/fake-disk.ts';
import { turns } from '../../support/turns.ts';
import { record } from './compaction-stage.ts';
import { KEEP_ALL, LOG_DIRECTORY, openDiskLog } from './open-disk-log.ts';

const NEVER = new AbortController().signal;
let disk: FakeDisk;

async function open(settings: Partial<DiskLogSettings> = {}): Promise<DiskLog> {
  const state = { ...NO_STATE, snapshot: () => Buffer.from('none') };
  return openDiskLog({
    disk,
    clock: new FakeClock(),
    settings: { ...KEEP_ALL, segmentBytes: 200, ...settings },
    state,
    firstOffset: 0,
  });
}

function append(log: DiskLog, text: string): void {
  const batch = batchOf([record(text), record(text)]);
  stampBatch(batch, log.logEnd, 1);
  log.append(batch);
}

/** A log of ten batches with two records each, two in a segment, closed as it should be. */
async function write(settings: Partial<DiskLogSettings> = {}): Promise<void> {
  const log = await open(settings);
  for (let n = 0; n < 10; n++) append(log, `k${n}=v`);
  await turns(200);
  await log.close();
}

function names(kind: string): string[] {
  return disk.names(LOG_DIRECTORY).filter((name) => name.endsWith(kind));
}

function change(name: string, edit: (bytes: Buffer) => Buffer | undefined): void {
  disk.plant(`${LOG_DIRECTORY}/${name}`, edit(disk.peek(`${LOG_DIRECTORY}/${name}`)!));
}

const flip = (at: number) => (bytes: Buffer) => {
  bytes[at < 0 ? bytes.length + at : at]! ^= 1;
  return bytes;
};

const check = (): Promise<LogReport> => checkLog(LOG_DIRECTORY, disk, NEVER);

/** Kinds and files of what was found. */
async function found(): Promise<string[]> {
  return (await check()).findings.map(({ kind, file }: Finding) => `${kind} ${file}`);
}

beforeEach(async () => {
  disk = new FakeDisk();
  await write();
});

describe('check of a log', () => {
  it('counts what is there, and finds nothing wrong', async () => {
    const bytes = names('.log').reduce((sum, name) => sum + disk.peek(`${LOG_DIRECTORY}/${name}`)!.length, 0);
    expect(await check()).toEqual({
      segments: names('.log').length,
      bytes,
      batches: 10,
      records: 20,
      logStart: 0,
      logEnd: 20,
      findings: [],
    });
    expect(names('.log').length).toBeGreaterThan(3);
  });

  it('changes nothing', async () => {
    const before = disk.calls.length;
    await check();
    const kinds = new Set(disk.calls.slice(before).map(({ kind }) => kind));
    for (const kind of ['write', 'truncate', 'rename', 'removeFile', 'sync', 'makeDirectory'] as const) {
      expect(kinds).not.toContain(kind);
    }
  });

  it('finds a damaged batch in a sealed segment, counts those behind it, and goes on', async () => {
    const name = names('.log')[1]!;
    change(name, flip(70));
    const { findings, batches, logEnd } = await check();
    expect(findings.filter(({ kind }) => kind === 'damage')).toMatchObject([{ file: name, position: 0 }]);
    expect([batches, logEnd]).toEqual([9, 20]);
  });

  it('finds every damaged batch', async () => {
    for (const name of names('.log').slice(0, 3)) change(name, flip(70));
    expect((await found()).filter((one) => one.startsWith('damage'))).toHaveLength(3);
  });

  it('finds a batch with another offset than it should have', async () => {
    const name = names('.log')[1]!;
    change(name, (bytes) => {
      bytes.writeUInt8(bytes.readUInt8(7) + 1, 7);
      return bytes;
    });
    expect(await found()).toContain(`damage ${name}`);
  });

  it('finds that a segment is missing', async () => {
    const [, gone, next] = names('.log');
    change(gone!, () => undefined);
    change(gone!.replace('.log', '.index'), () => undefined);
    expect(await found()).toEqual([`damage ${next!}`]);
  });

  it('finds that a segment is shorter than it was', async () => {
    const name = names('.log')[1]!;
    change(name, (bytes) => bytes.subarray(0, batchBytes(bytes)));
    expect(await found()).toContain(`damage ${name}`);
  });

  it('finds that the last segment is shorter than a snapshot says', async () => {
    const name = names('.log').at(-1)!;
    change(name, (bytes) => bytes.subarray(0, -1));
    expect(await found()).toContain(`damage ${name}`);
  });

  it('takes half a batch behind all that was stored for a write that was not finished', async () => {
    const name = names('.log').at(-1)!;
    change(name, (bytes) => Buffer.concat([bytes, bytes.subarray(0, 66)]));
    const { findings } = await check();
    expect(findings).toEqual([
      expect.objectContaining({
        kind: 'mended',
        file: name,
        what: '66 bytes of a write that was not finished',
      }),
    ]);
  });

  it('takes damage with a whole batch behind it for damage, at the end too', async () => {
    const log = await open({ segmentBytes: 10_000 });
    for (const text of ['x=1', 'x=2', 'x=3']) append(log, text);
    await turns(50);
    disk = disk.kill();
    const name = names('.log').at(-1)!;
    change(name, flip(2 * batchBytes(disk.peek(`${LOG_DIRECTORY}/${name}`)!) + 1));
    expect(await found()).toContain(`damage ${name}`);
  });

  it.each([
    ['missing', () => undefined],
    ['damaged', flip(30)],
    ['that of another segment', () => disk.peek(`${LOG_DIRECTORY}/${names('.index')[2]!}`)],
  ])('says that an index is %s, which is no damage', async (_what, edit) => {
    const name = names('.index')[1]!;
    change(name, edit);
    expect(await found()).toEqual([`mended ${name}`]);
  });

  it('says that a snapshot is damaged, which is no damage of the log', async () => {
    const name = names('.snapshot').at(-1)!;
    change(name, flip(40));
    expect(await found()).toEqual([`mended ${name}`]);
  });

  it('says that files were not finished or put aside', async () => {
    disk.plant(`${LOG_DIRECTORY}/x.index.new`, Buffer.alloc(1));
    disk.plant(`${LOG_DIRECTORY}/y.log.corrupt`, Buffer.alloc(1));
    expect(await found()).toEqual(['mended x.index.new', 'kept y.log.corrupt']);
  });

  it('of a compacted log finds nothing wrong, with its holes', async () => {
    disk = new FakeDisk();
    const settings = { cleanup: 'compact' as const, segmentBytes: 400 };
    const log = await open(settings);
    for (let n = 0; n < 20; n++) append(log, `k${n % 3}=${n}`);
    await turns(300);
    for (let n = 0; n < 3; n++) {
      log.enforceRetention();
      await turns(300);
    }
    await log.close();
    const { records, logEnd, findings } = await check();
    expect(records).toBeLessThan(30);
    expect([logEnd, findings]).toEqual([40, []]);
  });

  it('of a log with holes that were appended finds nothing wrong, until it does not know of them any more', async () => {
    disk = new FakeDisk();
    const log = await open();
    for (let n = 0; n < 10; n++) {
      const batch = batchOf([record('k=v')]);
      stampBatch(batch, log.logEnd + n, 1);
      log.append(batch);
    }
    await turns(200);
    await log.close();
    const { records, logEnd, findings } = await check();
    expect([records, logEnd, findings]).toEqual([10, 55, []]);
    change('compaction', () => undefined);
    expect((await found()).filter((one) => one.startsWith('damage'))).not.toEqual([]);
  });

  it('says of a log that was to begin anew that the next start has it do so', async () => {
    disk.plant(`${LOG_DIRECTORY}/00000000000000000070.reset`, Buffer.alloc(0));
    const { logStart, logEnd, records } = await check();
    expect([logStart, logEnd, records]).toEqual([70, 70, 0]);
    expect(await found()).toEqual(['mended 00000000000000000070.reset']);
    await (await open()).close();
    expect(await found()).toEqual([]);
  });

  it('of a log that ended at any moment finds no damage', async () => {
    for (let call = 1; call < 200; call += 3) {
      disk = new FakeDisk({ seed: call });
      disk.stopAt(call, 40);
      await Promise.race([write(), disk.stopped]);
      disk = call % 2 === 0 ? disk.kill() : disk.crash();
      if (disk.names(LOG_DIRECTORY).length === 0) continue;
      expect(
        (await found()).filter((one) => !one.startsWith('mended')),
        `call ${call}`,
      ).toEqual([]);
    }
  });

  it('ends when it is told to', async () => {
    const control = new AbortController();
    control.abort();
    await expect(checkLog(LOG_DIRECTORY, disk, control.signal)).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});
