/** What is done to files of a log in which something is that no log has put there. */
import { UNFINISHED } from './file-names.ts';
import type { FileSystem, OpenFile } from './file-system.ts';
import { SCRATCH_BYTES, giveScratch, takeScratch } from './scratch.ts';

/** Lets `work` read a file. @throws what opening it throws, and `work` */
export async function withFile<T>(
  files: FileSystem,
  path: string,
  work: (file: OpenFile) => Promise<T>,
): Promise<T> {
  const file = await files.open(path, { readOnly: true });
  try {
    return await work(file);
  } finally {
    await file.close();
  }
}

/** Cuts a file off, durably. @throws what the file system says */
export async function cutFile(files: FileSystem, path: string, position: number): Promise<void> {
  const file = await files.open(path, {});
  try {
    await file.truncate(position);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Writes a part of a file once more, in place, and makes it durable. @throws what the file system says */
export async function rewritePart(files: FileSystem, path: string, from: number, to: number): Promise<void> {
  if (from >= to) return;
  const file = await files.open(path, {});
  try {
    await copyBytes(file, file, from, to, 0);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Copies a part of a file to one of its own in `directory`: after a crash all of it is there, or none. @throws what the file system says */
export async function copyPart(
  files: FileSystem,
  directory: string,
  {
    from,
    to,
    start,
    end,
  }: { readonly from: string; readonly to: string; readonly start: number; readonly end: number },
): Promise<void> {
  const unfinished = `${to}${UNFINISHED}`;
  await withFile(files, from, async (source) => {
    const target = await files.open(unfinished, { create: true });
    try {
      await target.truncate(0);
      await copyBytes(source, target, start, end, start);
      await target.sync();
    } finally {
      await target.close();
    }
  });
  await files.rename(unfinished, to);
  await files.syncDirectory(directory);
}

async function copyBytes(
  source: OpenFile,
  target: OpenFile,
  from: number,
  to: number,
  shift: number,
): Promise<void> {
  const scratch = takeScratch(SCRATCH_BYTES);
  try {
    for (let at = from; at < to; at += SCRATCH_BYTES) {
      const chunk = scratch.subarray(0, Math.min(SCRATCH_BYTES, to - at));
      const got = await source.read(chunk, at);
      await target.write([chunk.subarray(0, got)], at - shift);
    }
  } finally {
    giveScratch(scratch);
  }
}
