import type { FileSystem, OpenFile, OpenOptions } from '../../src/log/disk/file-system.ts';
import { FakeDirectory, bytesBelow } from './fake-directory.ts';
import type { CallEffects, CallKind, DiskCall, FaultRule } from './fake-disk-calls.ts';
import { FakeDiskCalls, isChanging, systemError } from './fake-disk-calls.ts';
import { FakeFileData } from './fake-file-data.ts';
import { SeededRandom } from './seeded-random.ts';

/** What a disk is made with. */
export interface FakeDiskOptions {
  /** Default 1. */
  readonly seed?: number;
  /** Default unbounded. */
  readonly capacityBytes?: number;
}

/**
 * A file system in memory that behaves as a real one does at its worst.
 *
 * Power can be lost at any time: {@link FakeFileData} and {@link FakeDirectory} say what is left then. It can stop at any call,
 * and in the middle of a write; it can be full, slow, read-only, or fail. Everything follows from the seed and from what is called.
 */
export class FakeDisk implements FileSystem {
  /** Bytes that all files together may have; may be changed at any time. */
  capacityBytes: number;
  readonly #random: SeededRandom;
  readonly #calls: FakeDiskCalls;
  #root = new FakeDirectory();
  #openFiles = 0;

  constructor(options: FakeDiskOptions = {}) {
    this.#random = new SeededRandom(options.seed ?? 1);
    this.#calls = new FakeDiskCalls(this.#random);
    this.capacityBytes = options.capacityBytes ?? Infinity;
  }

  /** Every call so far, in the order in which they were made. */
  get calls(): readonly DiskCall[] {
    return this.#calls.made;
  }

  /** Resolves when the disk stopped: no call that is made or on its way then ever comes back. */
  get stopped(): Promise<unknown> {
    return this.#calls.stopped;
  }

  get isStopped(): boolean {
    return this.#calls.isStopped;
  }

  get openFiles(): number {
    return this.#openFiles;
  }

  /** Stops in place of the `call`-th call from the beginning, counted from 0. @param bytes of it that are done when it is a write */
  stopAt(call: number, bytes = 0): void {
    this.#calls.stopAt(call, bytes);
  }

  /** Stops now; what is on its way does not happen. */
  stop(): void {
    this.#calls.stop();
  }

  /** Loses power. @returns the disk as the next process may find it; this one has stopped */
  crash(random = this.#random): FakeDisk {
    return this.#next(this.#root.afterPowerLoss(random));
  }

  /** Ends the process but not the system. @returns the disk with all that was written, durable or not; this one has stopped */
  kill(): FakeDisk {
    return this.#next(this.#root.copy());
  }

  /** Makes calls fail. @returns undoes it */
  fail(rule: FaultRule): () => void {
    return this.#calls.fail(rule);
  }

  /** Keeps calls from being done. @returns lets them go on */
  hold(kinds: readonly CallKind[] = ['write', 'sync']): () => void {
    return this.#calls.hold(kinds);
  }

  /** The system forgets what it takes to be on the disk: after a failed sync reads see what really is. */
  dropCaches(directory = this.#root): void {
    for (const node of directory.entries.values()) {
      if (node instanceof FakeFileData) node.dropCaches();
      else this.dropCaches(node);
    }
  }

  /** The file's bytes as a read sees them now, without a call. The caller's. @returns undefined when it is not there */
  peek(path: string): Buffer | undefined {
    const node = this.#find(path);
    return node instanceof FakeFileData ? Buffer.from(node.bytes) : undefined;
  }

  /** Names in a directory, sorted, without a call; none when it is not there. */
  names(path: string): string[] {
    const node = this.#find(path);
    return node instanceof FakeDirectory ? [...node.entries.keys()].toSorted() : [];
  }

  /** Replaces or makes a file, durable, without a call; undefined removes it. Its directory must be there. */
  plant(path: string, bytes: Buffer | undefined): void {
    const directory = this.#directoryOf(path, 'open');
    directory.change([[nameOf(path), bytes && new FakeFileData(Buffer.from(bytes))]]);
    directory.sync();
  }

  open(path: string, options: OpenOptions): Promise<OpenFile> {
    return this.#do('open', path, () => {
      const directory = this.#directoryOf(path, 'open');
      let file = directory.entries.get(nameOf(path));
      if (file instanceof FakeDirectory) throw systemError('EISDIR', 'open', path);
      if (options.readOnly !== true) this.#calls.refuse({ kind: 'write', path, bytes: 0 });
      if (file === undefined) {
        if (options.create !== true) throw systemError('ENOENT', 'open', path);
        this.#calls.refuse({ kind: 'makeDirectory', path, bytes: 0 });
        file = new FakeFileData();
        directory.change([[nameOf(path), file]]);
      }
      this.#openFiles += 1;
      return this.#handle(path, file, options);
    });
  }

  readFile(path: string): Promise<Buffer> {
    return this.#do('readFile', path, () => {
      const node = this.#directoryOf(path, 'open').entries.get(nameOf(path));
      if (node instanceof FakeFileData) return Buffer.from(node.bytes);
      throw systemError(node ? 'EISDIR' : 'ENOENT', 'open', path);
    });
  }

  list(directory: string): Promise<readonly string[]> {
    return this.#do('list', directory, () => {
      const names = [...this.#directoryAt(directory, 'scandir').entries.keys()];
      const shuffled = names.map((name) => ({ name, at: this.#random.fraction() }));
      return shuffled.toSorted((a, b) => a.at - b.at).map(({ name }) => name);
    });
  }

  makeDirectory(path: string): Promise<void> {
    return this.#do('makeDirectory', path, () => {
      let at = this.#root;
      for (const name of partsOf(path)) {
        const known = at.entries.get(name);
        if (known instanceof FakeFileData) throw systemError('ENOTDIR', 'mkdir', path);
        const next = known ?? new FakeDirectory();
        if (known === undefined) at.change([[name, next]]);
        at = next;
      }
    });
  }

  rename(from: string, to: string): Promise<void> {
    return this.#do('rename', from, () => {
      const directory = this.#directoryOf(from, 'rename');
      if (this.#directoryOf(to, 'rename') !== directory) throw systemError('EXDEV', 'rename', from);
      const node = directory.entries.get(nameOf(from));
      if (node === undefined) throw systemError('ENOENT', 'rename', from);
      directory.change([
        [nameOf(from), undefined],
        [nameOf(to), node],
      ]);
    });
  }

  removeFile(path: string): Promise<void> {
    return this.#do('removeFile', path, () => {
      const directory = this.#directoryOf(path, 'unlink');
      const node = directory.entries.get(nameOf(path));
      if (node === undefined) throw systemError('ENOENT', 'unlink', path);
      if (node instanceof FakeDirectory) throw systemError('EISDIR', 'unlink', path);
      directory.change([[nameOf(path), undefined]]);
    });
  }

  removeDirectory(path: string): Promise<void> {
    return this.#do('removeDirectory', path, () => {
      const node = this.#find(path);
      if (node === undefined) return;
      if (node instanceof FakeDirectory) emptyOut(node);
      this.#directoryOf(path, 'rm').change([[nameOf(path), undefined]]);
    });
  }

  syncDirectory(path: string): Promise<void> {
    return this.#do('syncDirectory', path, () => {
      this.#directoryAt(path, 'fsync').sync();
    });
  }

  #next(root: FakeDirectory): FakeDisk {
    this.stop();
    const next = new FakeDisk({ seed: this.#random.below(2 ** 32), capacityBytes: this.capacityBytes });
    next.#root = root;
    return next;
  }

  #do<T>(kind: CallKind, path: string, effect: () => T): Promise<T> {
    return this.#calls.make({ kind, path, bytes: 0 }, effect);
  }

  #handle(path: string, file: FakeFileData, options: OpenOptions): OpenFile {
    const durable = options.durableWrites === true;
    let isOpen = true;
    let writing = false;
    const make = <T>(kind: CallKind, effect: () => T, bytes = 0, effects?: CallEffects): Promise<T> =>
      this.#calls.make(
        { kind, path, bytes },
        () => {
          if (!isOpen) throw systemError('EBADF', kind, path);
          if (options.readOnly === true && isChanging(kind) && kind !== 'sync') {
            throw systemError('EBADF', kind, path);
          }
          return effect();
        },
        effects,
      );
    const abandon = (): void => {
      file.abandon();
    };
    const write = async (bytes: Buffer, position: number): Promise<void> => {
      const partly = (done: number): void => {
        file.write(position, bytes.subarray(0, done), false);
      };
      const failed = (): void => {
        partly(this.#random.below(bytes.length + 1));
        if (durable) abandon();
      };
      const all = (): void => {
        this.#write(path, file, bytes, position, durable);
      };
      await make('write', all, bytes.length, { partly, failed });
    };
    return {
      read: (target, position) =>
        make('read', () => (position < file.bytes.length ? file.bytes.copy(target, 0, position) : 0)),
      write: async (buffers, position) => {
        if (writing) throw new TypeError(`two writes of ${path} at once`);
        writing = true;
        try {
          await write(Buffer.concat(buffers), position);
        } finally {
          writing = false;
        }
      },
      sync: () =>
        make(
          'sync',
          () => {
            file.sync();
          },
          0,
          { partly: () => undefined, failed: abandon },
        ),
      truncate: (length) =>
        make('truncate', () => {
          file.truncate(length);
        }),
      size: () => make('size', () => file.bytes.length),
      close: () =>
        make('close', () => {
          isOpen = false;
          this.#openFiles -= 1;
        }),
    };
  }

  #write(path: string, file: FakeFileData, bytes: Buffer, position: number, durable: boolean): void {
    const growth = Math.max(0, position + bytes.length - file.bytes.length);
    const room = this.capacityBytes === Infinity ? Infinity : this.capacityBytes - bytesBelow(this.#root);
    const fits = growth <= room;
    const done = fits ? bytes.length : Math.max(0, bytes.length - growth + Math.max(0, room));
    file.write(position, bytes.subarray(0, done), durable);
    if (!fits) throw systemError('ENOSPC', 'write', path);
  }

  #find(path: string): FakeDirectory | FakeFileData | undefined {
    let node: FakeDirectory | FakeFileData | undefined = this.#root;
    for (const name of partsOf(path)) {
      node = node instanceof FakeDirectory ? node.entries.get(name) : undefined;
    }
    return node;
  }

  #directoryAt(path: string, syscall: string): FakeDirectory {
    const node = this.#find(path);
    if (node instanceof FakeDirectory) return node;
    throw systemError(node ? 'ENOTDIR' : 'ENOENT', syscall, path);
  }

  #directoryOf(path: string, syscall: string): FakeDirectory {
    return this.#directoryAt(partsOf(path).slice(0, -1).join('/'), syscall);
  }
}

function emptyOut(directory: FakeDirectory): void {
  for (const [name, node] of [...directory.entries]) {
    if (node instanceof FakeDirectory) emptyOut(node);
    directory.change([[name, undefined]]);
  }
}

function partsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.');
}

function nameOf(path: string): string {
  return partsOf(path).at(-1)!;
}
