import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SluiceError } from '../kernel/errors.ts';
import type { Random } from '../kernel/random.ts';

const KEY_BYTES = 32;

/**
 * The key by which a node tells clients of its former run that it does not know their connections any more: 32 bytes in
 * `<data>/tls/reset-key` (mode 0600), made on first use. One without 32 bytes is made anew: the worst of it is that clients
 * notice the next restart by their idle timeout.
 * @throws STORAGE_FAILED when the file cannot be read or written
 * @see RFC 9000 section 10.3
 */
export async function loadResetKey(dataDir: string, random: Random): Promise<Buffer> {
  const directory = join(dataDir, 'tls');
  const path = join(directory, 'reset-key');
  try {
    const found = await readIfThere(path);
    if (found?.length === KEY_BYTES) return found;
    const key = random.bytes(KEY_BYTES);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const draft = `${path}.new`;
    await writeFile(draft, key, { mode: 0o600 });
    await chmod(draft, 0o600);
    await rename(draft, path);
    return key;
  } catch (cause) {
    throw new SluiceError('STORAGE_FAILED', `the key in ${path} cannot be kept`, { cause });
  }
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
