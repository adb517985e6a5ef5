import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Appends a second that the disk does, each on the disk before the next: what no log can exceed one by one. */
export function syncedAppendsPerSecond(bytes: number, seconds: number): number {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-disk-'));
  const { O_WRONLY, O_CREAT, O_APPEND, O_DSYNC } = constants;
  const file = openSync(join(folder, 'file'), O_WRONLY | O_CREAT | O_APPEND | O_DSYNC);
  try {
    const data = Buffer.alloc(bytes, 120);
    const startMs = performance.now();
    let appends = 0;
    for (; performance.now() - startMs < seconds * 1e3; appends += 1) writeSync(file, data);
    return appends / ((performance.now() - startMs) / 1e3);
  } finally {
    closeSync(file);
    rmSync(folder, { recursive: true });
  }
}

/** Has the operating system forget what it holds of the files below a folder, so that they are read from the disk. */
export function dropPageCache(folder: string): void {
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const file = join(folder, name);
    if (!statSync(file).isFile()) continue;
    // What is not on the disk yet would stay.
    execFileSync('sync', [file]);
    execFileSync('dd', [`if=${file}`, 'iflag=nocache', 'count=0', 'status=none']);
  }
}
