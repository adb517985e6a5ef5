import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DiskReserve } from '../../../src/coordination/embedded/disk-reserve.ts';
import { systemRandom } from '../../../src/kernel/random.ts';

let directory: string;
const open = (): Promise<DiskReserve> => DiskReserve.open(directory, systemRandom);
const bytesThere = async (): Promise<number> => (await stat(join(directory, 'reserve'))).size;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sluice-reserve-'));
});

afterEach(() => rm(directory, { recursive: true, force: true }));

describe('the reserve', () => {
  it('takes room from the beginning', async () => {
    await open();
    expect(await bytesThere()).toBe(256 * 1024);
  });

  it('is given up once, until there is room again', async () => {
    const reserve = await open();
    expect(await Promise.all([reserve.release(), reserve.release()])).toEqual([true, false]);
    expect(await readdir(directory)).toEqual([]);
    await reserve.fill();
    expect([await bytesThere(), await reserve.release()]).toEqual([256 * 1024, true]);
  });

  it('of the process before is there for the next one', async () => {
    await open();
    expect(await (await open()).release()).toBe(true);
  });

  it('that was cut short by a full disk is made anew', async () => {
    await writeFile(join(directory, 'reserve'), 'short');
    await open();
    expect(await bytesThere()).toBe(256 * 1024);
  });

  it('is missing where there is no room, which is no error', async () => {
    directory = join(directory, 'nowhere');
    expect(await (await open()).release()).toBe(false);
  });
});
