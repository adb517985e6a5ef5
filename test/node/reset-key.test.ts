import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemRandom } from '../../src/kernel/random.ts';
import { loadResetKey } from '../../src/node/reset-key.ts';

describe('reset key', () => {
  let dataDir: string;
  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'sluice-reset-key-'));
  });
  afterEach(() => rm(dataDir, { recursive: true }));

  const load = (): Promise<Buffer> => loadResetKey(dataDir, systemRandom);
  const file = (): string => join(dataDir, 'tls', 'reset-key');

  it('is 32 bytes that only the owner may read', async () => {
    const key = await load();
    expect([key.length, (await stat(file())).mode & 0o777]).toEqual([32, 0o600]);
  });

  it('stays the same over restarts', async () => {
    expect(await load()).toEqual(await load());
  });

  it('is made anew when the file was cut', async () => {
    await mkdir(join(dataDir, 'tls'));
    await writeFile(file(), 'cut');
    expect(await load()).toEqual(await readFile(file()));
  });

  it('that cannot be read is an error of storage', async () => {
    await mkdir(file(), { recursive: true });
    await expect(load()).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
  });
});
