import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { embeddedLogs } from '../coordination/embedded/topic-files.ts';
import { DataDirLock } from '../coordination/embedded/data-dir-lock.ts';
import { SluiceError } from '../kernel/errors.ts';
import { storageError } from '../kernel/storage-error.ts';
import { nodeFileSystem } from '../log/disk/node-file-system.ts';
import { loadSettings } from './settings.ts';
import type { Terminal } from './terminal.ts';

/** Options that say where the files are. */
export interface StoredFlags {
  readonly data?: string;
  readonly config?: string;
}

/** One partition on disk. */
export interface StoredLog {
  /** Its name; the id when nobody wrote that down. */
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly directory: string;
  /** Whether a node on its own has begun it: then there is a segment, if only an empty one. */
  readonly isBegun: boolean;
}

const TOPIC_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const PARTITION = /^\d{1,5}$/;

/**
 * Finds the logs in a data directory and keeps a node from using it while `work` looks at them. Writes nothing.
 *
 * @throws DATA_DIR_LOCKED while a node runs; INVALID_ARGUMENT when there is no such directory; what `work` throws
 */
export async function withStoredLogs<T>(
  flags: StoredFlags,
  terminal: Terminal,
  work: (logs: readonly StoredLog[]) => Promise<T>,
): Promise<T> {
  const { settings } = await loadSettings(flags, terminal);
  const dataDir = resolve(terminal.folder, settings.dataDir);
  if (!(await canAccess(dataDir, constants.R_OK))) {
    throw new SluiceError('INVALID_ARGUMENT', `there is no data directory ${dataDir}; name it with --data`);
  }
  const held = await lock(dataDir);
  try {
    return await work(sorted(await withBegun(await find(join(dataDir, 'topics')), dataDir)));
  } finally {
    held?.[Symbol.dispose]();
  }
}

/** A node makes the lock before anything else, and needs to write: where there is none, or that is impossible, none runs. */
async function lock(dataDir: string): Promise<DataDirLock | undefined> {
  const path = join(dataDir, 'lock');
  if (!(await canAccess(path, constants.F_OK)) || (await isReadOnly(path))) return undefined;
  return DataDirLock.take(dataDir);
}

async function find(directory: string): Promise<StoredLog[]> {
  if (!(await canAccess(directory, constants.F_OK))) return [];
  try {
    const logs: StoredLog[] = [];
    for (const topicId of await nodeFileSystem.list(directory)) {
      if (!TOPIC_ID.test(topicId)) continue;
      const folder = join(directory, topicId);
      const topic = (await nameIn(folder)) ?? topicId;
      for (const name of await nodeFileSystem.list(folder)) {
        if (PARTITION.test(name))
          logs.push({
            topic,
            topicId,
            partition: Number(name),
            directory: join(folder, name),
            isBegun: false,
          });
      }
    }
    return logs;
  } catch (cause) {
    throw storageError(cause, `cannot read ${directory}`);
  }
}

/** Marks the logs that a node on its own has begun, and adds those that have no folder any more. */
async function withBegun(found: readonly StoredLog[], dataDir: string): Promise<StoredLog[]> {
  const logs = new Map(found.map((log) => [log.directory, log]));
  for (const log of await embeddedLogs(dataDir)) {
    const directory = join(dataDir, 'topics', log.topicId, String(log.partition));
    logs.set(directory, { ...log, ...logs.get(directory), directory, isBegun: true });
  }
  return [...logs.values()];
}

function sorted(logs: StoredLog[]): StoredLog[] {
  return logs.sort(
    (a, b) => compare(a.topic, b.topic) || compare(a.topicId, b.topicId) || a.partition - b.partition,
  );
}

async function nameIn(folder: string): Promise<string | undefined> {
  try {
    const facts = JSON.parse(String(await nodeFileSystem.readFile(join(folder, 'topic.json')))) as unknown;
    const name = typeof facts === 'object' && facts !== null && 'name' in facts ? facts.name : undefined;
    return typeof name === 'string' ? name : undefined;
  } catch {
    return undefined;
  }
}

/** The logs of one topic, or one partition. @throws TOPIC_NOT_FOUND, PARTITION_NOT_FOUND */
export function selectLogs(
  logs: readonly StoredLog[],
  topic: string | undefined,
  partition: number | undefined,
): readonly StoredLog[] {
  const ofTopic =
    topic === undefined ? logs : logs.filter((one) => one.topic === topic || one.topicId === topic);
  if (topic !== undefined && ofTopic.length === 0)
    throw new SluiceError(
      'TOPIC_NOT_FOUND',
      `no topic ${topic} is stored here; see what is with: sluice log verify`,
    );
  const found = partition === undefined ? ofTopic : ofTopic.filter((one) => one.partition === partition);
  if (partition !== undefined && found.length === 0)
    throw new SluiceError('PARTITION_NOT_FOUND', `no partition ${partition} is stored here`);
  return found;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

async function isReadOnly(path: string): Promise<boolean> {
  try {
    await access(path, constants.W_OK);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EROFS';
  }
}

async function canAccess(path: string, mode: number): Promise<boolean> {
  try {
    await access(path, mode);
    return true;
  } catch {
    return false;
  }
}
