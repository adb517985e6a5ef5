/**
 * Makes a log begin anew at an offset, with nothing in it.
 *
 *     OFFSET.reset made, durable      ── from here on the log is empty, whatever else is there
 *     everything else removed, durable
 *     OFFSET.log made, empty, durable
 *     OFFSET.reset removed, durable   ── from here on it is a log like any other
 *
 * The name says it all: the file is empty, so it is there as a whole or not at all. A start that finds it goes on from there.
 *
 * @see docs/file-format.md
 */
import { join } from 'node:path';
import { COMPACTION_FILE } from './compaction-state.ts';
import { filePath, sortFiles } from './file-names.ts';
import type { FileSystem } from './file-system.ts';
import { removeIfThere } from './snapshots.ts';

/**
 * Has the log begin anew at `offset`, durably.
 * @throws what the file system says; it can be done again then, and has to be before anything else is done with the log
 */
export async function resetLog(files: FileSystem, directory: string, offset: number): Promise<void> {
  await makeFile(files, filePath(directory, offset, 'reset'));
  // Also where an earlier process made it: that it can be seen does not mean that it is on the disk.
  await files.syncDirectory(directory);
  const names = await files.list(directory);
  const { segments, indexes, snapshots, resets, unfinished } = sortFiles(names);
  const gone = [
    ...[COMPACTION_FILE, ...unfinished].map((name) => join(directory, name)),
    ...segments.map((base) => filePath(directory, base, 'log')),
    ...[...indexes].map((base) => filePath(directory, base, 'index')),
    ...snapshots.map((one) => filePath(directory, one, 'snapshot')),
  ];
  for (const path of gone) await removeIfThere(files, path);
  // Before there is a segment again, so that nothing old is ever found beside it.
  await files.syncDirectory(directory);
  await makeFile(files, filePath(directory, offset, 'log'));
  await files.syncDirectory(directory);
  for (const one of resets) await files.removeFile(filePath(directory, one, 'reset'));
  await files.syncDirectory(directory);
}

async function makeFile(files: FileSystem, path: string): Promise<void> {
  const file = await files.open(path, { create: true });
  await file.close();
}
