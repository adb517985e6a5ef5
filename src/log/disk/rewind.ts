import type { LogState } from '../log-state.ts';
import { cutFile } from './damage.ts';
import type { DiskShared } from './disk-shared.ts';
import type { OpenFile } from './file-system.ts';
import type { UnsyncedEnd } from './log-writer.ts';
import { scanSegment } from './segment-scan.ts';
import type { ScanEnd } from './segment-scan.ts';
import type { SegmentStore } from './segment-store.ts';
import type { Segment } from './segment.ts';
import { segmentAt } from './segment.ts';
import type { Snapshots } from './snapshots.ts';
import { removeIfThere } from './snapshots.ts';

/**
 * Cuts the files of a log off at `offset`, at the beginning of the batch that holds it; durable when it resolves.
 *
 * @returns where the log ends now
 * @throws what the file system says; it can be done again then
 */
export async function rewind(
  store: SegmentStore,
  directory: string,
  shared: DiskShared,
  offset: number,
): Promise<number> {
  const { segments } = store;
  const { files, openFiles, indexes } = shared;
  store.changed();
  const at = Math.max(0, segmentAt(segments, offset));
  while (segments.length > at + 1) {
    const { path, indexPath } = segments.at(-1)!;
    openFiles.forget(path);
    indexes.forget(indexPath);
    await files.removeFile(indexPath).catch(() => undefined);
    await removeIfThere(files, path);
    // One after the other, newest first, so that a crash in between leaves no hole.
    await files.syncDirectory(directory);
    segments.pop();
  }
  const segment = segments[at]!;
  segment.index = await indexes.load(segment);
  indexes.forget(segment.indexPath);
  // It becomes the active one again.
  await removeIfThere(files, segment.indexPath);
  const cut = await cutPosition(shared, segment, offset);
  await cutFile(files, segment.path, cut.position);
  await files.syncDirectory(directory);
  segment.cut(cut.offset, cut.position);
  return segment.nextOffset;
}

/** Brings the state of the log's owner to where the log is: from a snapshot, and from the batches behind it. */
export async function restoreState(
  store: SegmentStore,
  snapshots: Snapshots,
  shared: DiskShared,
  state: LogState,
  end: number,
): Promise<void> {
  const snapshot = await snapshots.find(end, (found) => {
    state.restore(found.state);
    return true;
  });
  if (!snapshot) state.reset();
  const from = snapshot?.facts.offset ?? store.segments[0]!.baseOffset;
  for (const segment of store.segments.slice(Math.max(0, segmentAt(store.segments, from)))) {
    const { position } = (await shared.indexes.load(segment)).find(from);
    await shared.openFiles.use(segment.path, (file) =>
      scanSegment(
        file,
        { from: position, to: segment.bytes },
        (header) => {
          if (header.baseOffset >= from) state.replay(header);
          return undefined;
        },
        { verifyCrc: false, holes: true },
      ),
    );
  }
}

/**
 * Looks at what was acknowledged and may not have come to the disk, after the system said that something did not.
 * @param holes whether there may be some between batches
 * @returns why its end is gone, and from which offset on; undefined when all of it can be read
 * @throws what the file system says
 */
export async function findLoss(
  { openFiles }: DiskShared,
  { segment, position, offset }: UnsyncedEnd,
  holes: boolean,
): Promise<ScanEnd | undefined> {
  const range = { from: position, to: segment.bytes };
  const options = { expectedOffset: offset, verifyCrc: true, holes };
  const end = await openFiles.use(segment.path, (file) => scanSegment(file, range, () => undefined, options));
  return end.kind === 'end' ? undefined : end;
}

async function cutPosition(
  { openFiles }: DiskShared,
  segment: Segment,
  offset: number,
): Promise<{ readonly offset: number; readonly position: number }> {
  if (offset >= segment.nextOffset) return { offset: segment.nextOffset, position: segment.bytes };
  return openFiles.use(segment.path, async (file) => {
    for (let start = segment.index!.find(offset); ; start = segment.index!.find(start.baseOffset - 1)) {
      const cut = await lastBatchEnd(file, start.position, segment.bytes, offset);
      if (cut) return cut;
      if (start.position === 0) return { offset: segment.baseOffset, position: 0 };
      // There may be a hole before it: what the log ends with now is found by an earlier entry.
    }
  });
}

/** Where the last batch from `from` on ends that reaches no further than `offset`; undefined when none does. */
async function lastBatchEnd(
  file: OpenFile,
  from: number,
  to: number,
  offset: number,
): Promise<{ readonly offset: number; readonly position: number } | undefined> {
  let end: { readonly offset: number; readonly position: number } | undefined;
  await scanSegment(
    file,
    { from, to },
    (header, position) => {
      const next = header.baseOffset + header.lastOffsetDelta + 1;
      if (next > offset) return false;
      end = { offset: next, position: position + header.batchBytes };
      return undefined;
    },
    { verifyCrc: false, holes: true },
  );
  return end;
}
