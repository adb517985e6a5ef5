import fs, { constants } from 'node:fs';
import { mkdir, open as openHandle, readFile, readdir, rename, rm, unlink } from 'node:fs/promises';
import type { FileSystem, OpenFile, OpenOptions } from './file-system.ts';

/** The operating system's files. */
export const nodeFileSystem: FileSystem = {
  open: (path, options) =>
    new Promise((resolve, reject) => {
      fs.open(path, flagsOf(options), 0o600, (error, fd) => {
        if (error) reject(error);
        else resolve(new NodeFile(fd));
      });
    }),
  readFile: (path) => readFile(path),
  list: (directory) => readdir(directory),
  makeDirectory: async (path) => {
    await mkdir(path, { recursive: true, mode: 0o700 });
  },
  rename,
  removeFile: unlink,
  removeDirectory: (path) => rm(path, { recursive: true, force: true }),
  syncDirectory: async (path) => {
    const handle = await openHandle(path, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
};

function flagsOf({ create, readOnly, durableWrites }: OpenOptions): number {
  if (readOnly === true) return constants.O_RDONLY;
  let flags = constants.O_RDWR;
  if (create === true) flags |= constants.O_CREAT;
  if (durableWrites === true) flags |= constants.O_DSYNC;
  return flags;
}

/** A file by its descriptor: the callback functions of `fs` cost less than file handles, and writes are the hot path. */
class NodeFile implements OpenFile {
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  read(target: Buffer, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      let done = 0;
      const step = (): void => {
        fs.read(this.#fd, target, done, target.length - done, position + done, (error, bytes) => {
          if (error) {
            reject(error);
            return;
          }
          done += bytes;
          if (bytes === 0 || done === target.length) resolve(done);
          else step();
        });
      };
      step();
    });
  }

  write(buffers: readonly Buffer[], position: number): Promise<void> {
    return new Promise((resolve, reject) => {
      let left = buffers.filter(({ length }) => length > 0);
      let at = position;
      const written = (error: Error | null, bytes: number): void => {
        if (error) {
          reject(error);
          return;
        }
        if (bytes === 0) {
          reject(new Error('the system took none of what was to be written'));
          return;
        }
        at += bytes;
        left = behind(left, bytes);
        step();
      };
      const step = (): void => {
        if (left.length === 0) resolve();
        else if (left.length === 1) fs.write(this.#fd, left[0]!, 0, left[0]!.length, at, written);
        else fs.writev(this.#fd, left, at, written);
      };
      step();
    });
  }

  sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.fdatasync(this.#fd, (error) => {
        if (error) reject(error);
        else resolve();
      });
    });
  }

  truncate(length: number): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.ftruncate(this.#fd, length, (error) => {
        if (error) reject(error);
        else resolve();
      });
    });
  }

  size(): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.fstat(this.#fd, (error, stats) => {
        if (error) reject(error);
        else resolve(stats.size);
      });
    });
  }

  close(): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.close(this.#fd, (error) => {
        if (error) reject(error);
        else resolve();
      });
    });
  }
}

/** What is left of `buffers` without their first `bytes`: the system may take a part only. */
function behind(buffers: readonly Buffer[], bytes: number): Buffer[] {
  let skip = bytes;
  for (const [index, buffer] of buffers.entries()) {
    if (skip < buffer.length) return [buffer.subarray(skip), ...buffers.slice(index + 1)];
    skip -= buffer.length;
  }
  return [];
}
