import { SluiceError } from './errors.ts';

const NO_ROOM = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/**
 * The coded error for what the operating system said about a file: STORAGE_FULL when there is no room, else STORAGE_FAILED.
 * @param what for people: what could not be done, to what
 */
export function storageError(cause: unknown, what: string): SluiceError {
  if (cause instanceof SluiceError) return cause;
  const { code, message } = cause as NodeJS.ErrnoException;
  const full = code !== undefined && NO_ROOM.has(code);
  return new SluiceError(full ? 'STORAGE_FULL' : 'STORAGE_FAILED', `${what}: ${message}`, { cause });
}
