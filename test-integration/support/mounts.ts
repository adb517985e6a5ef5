/** File systems that a test makes and breaks; needs root. */
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Whether this process may mount. */
export const CAN_MOUNT = process.getuid?.() === 0;

/** A small file system of its own, which can be filled up and be made read-only for new files. */
export class SmallDisk implements Disposable {
  /** Empty at first. */
  readonly folder: string;
  readonly #mount = mkdtempSync(join(tmpdir(), 'sluice-disk-'));
  readonly #ballast = join(this.#mount, 'ballast');
  #isCovered = false;

  constructor(mebibytes: number) {
    run('mount', '-t', 'tmpfs', '-o', `size=${mebibytes}m,mode=755`, 'sluice-test', this.#mount);
    this.folder = join(this.#mount, 'data');
    mkdirSync(this.folder);
  }

  /** Takes up all the room there is, but for `bytes`; again for what has become free since. */
  fill(bytes: number): void {
    const { bavail, bsize } = statfsSync(this.#mount);
    appendFileSync(this.#ballast, Buffer.alloc(Math.max(0, bavail * bsize - bytes)));
  }

  /** Gives back the room that {@link SmallDisk.fill} took. */
  relieve(): void {
    rmSync(this.#ballast, { force: true });
  }

  /** Makes everything under `folder` read-only; files that are open for writing stay so. */
  cover(folder: string): void {
    run('mount', '--bind', folder, folder);
    this.#isCovered = true;
    run('mount', '-o', 'remount,bind,ro', folder);
  }

  /** Undoes {@link SmallDisk.cover}. */
  uncover(folder: string): void {
    // Lazily: files opened meanwhile keep it busy.
    if (this.#isCovered) run('umount', '-l', folder);
    this.#isCovered = false;
  }

  [Symbol.dispose](): void {
    run('umount', '-R', '-l', this.#mount);
    rmSync(this.#mount, { recursive: true, force: true });
  }
}

/** Takes the permission to change anything under a folder from everybody, root too. */
export function freeze(folder: string): void {
  run('chattr', '-R', '+i', folder);
}

/** Undoes {@link freeze}. */
export function thaw(folder: string): void {
  run('chattr', '-R', '-i', folder);
}

function run(command: string, ...argv: string[]): void {
  execFileSync(command, argv, { stdio: ['ignore', 'ignore', 'pipe'] });
}
