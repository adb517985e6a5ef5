import { readFile } from 'node:fs/promises';
import { SluiceError } from '../kernel/errors.ts';

/**
 * Reads a file that a setting names: certificates, keys, a password.
 * @throws INVALID_CONFIG that names the setting when the file cannot be read
 */
export async function readNamedFile(setting: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new SluiceError('INVALID_CONFIG', `${setting}: ${path} cannot be read`, { cause: error });
  }
}
