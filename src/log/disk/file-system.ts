/** How {@link FileSystem.open} opens a file. */
export interface OpenOptions {
  /** Make it when it is missing; one that exists is kept as it is. Default: it has to exist. */
  readonly create?: boolean;
  /** Only for reading. */
  readonly readOnly?: boolean;
  /** Every write is on the disk, with all it takes to find it again, when its promise resolves (O_DSYNC). */
  readonly durableWrites?: boolean;
}

/**
 * An open file. Positions and lengths are bytes. Reads may overlap each other and a write; writes come one after the other.
 *
 * Every method rejects with the operating system's error (`code` is `ENOSPC`, `EIO`, …).
 */
export interface OpenFile {
  /** Fills `target` from `position` on as far as the file goes. @returns bytes read; fewer than asked only at the end */
  read(target: Buffer, position: number): Promise<number>;
  /** Writes `buffers`, all of them, one behind the other from `position` on. When it rejects any part may have been written. */
  write(buffers: readonly Buffer[], position: number): Promise<void>;
  /** Makes what was written durable (fdatasync). When it rejects, none of it may be taken for durable, ever. */
  sync(): Promise<void>;
  /** Cuts the file off; not durable before {@link OpenFile.sync}. */
  truncate(length: number): Promise<void>;
  size(): Promise<number>;
  close(): Promise<void>;
}

/**
 * The file system as logs use it: a port, so that tests can lose power, tear writes and fill the disk.
 *
 * As on a real one, a file's bytes are durable after its own `sync`, and its name (that it exists, was renamed or removed) after
 * {@link FileSystem.syncDirectory} of the directory it is in. Every method rejects with the operating system's error.
 */
export interface FileSystem {
  open(path: string, options: OpenOptions): Promise<OpenFile>;
  /** The whole content. */
  readFile(path: string): Promise<Buffer>;
  /** Names in a directory, in no order. */
  list(directory: string): Promise<readonly string[]>;
  /** Makes a directory and those above it. Its name is durable after syncDirectory of the one above. */
  makeDirectory(path: string): Promise<void>;
  /** Replaces what is at `to`. */
  rename(from: string, to: string): Promise<void>;
  removeFile(path: string): Promise<void>;
  /** Removes a directory with all that is in it; none is no error. */
  removeDirectory(path: string): Promise<void>;
  syncDirectory(path: string): Promise<void>;
}
