import { join } from 'node:path';
import type { TopicDefinition } from '../coordination/coordinator.ts';
import type { Clock } from '../kernel/clock.ts';
import { SluiceError, asSluiceError } from '../kernel/errors.ts';
import type { Random } from '../kernel/random.ts';
import { storageError } from '../kernel/storage-error.ts';
import { hasLog } from '../log/disk/file-names.ts';
import type { FileSystem } from '../log/disk/file-system.ts';
import { Removals } from './removals.ts';

/*
 * The folder of all topics on disk:
 *
 *     cluster                    the cluster id that they belong to
 *     TOPIC-ID/topic.json        name, for people; nothing reads it
 *     TOPIC-ID/PARTITION/        one log
 *     TOPIC-ID/PARTITION.deleted/  that other nodes have now: is being removed
 *     TOPIC-ID.deleted/          of a topic that was deleted: is being removed
 *     TOPIC-ID.unknown/          of a topic that the coordinator does not know, put aside
 */
const CLUSTER_FILE = 'cluster';
const DELETED = '.deleted';
const UNKNOWN = '.unknown';
const UNFINISHED = '.new';
const TOPIC_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const PARTITION = /^(0|[1-9][0-9]*)$/;

/** What the folders of topics take. */
export interface TopicFoldersOptions {
  readonly files: FileSystem;
  readonly clock: Clock;
  readonly random: Random;
  /** Made when it is missing. */
  readonly directory: string;
  readonly clusterId: string;
  /** Whether there is a topic with this id. */
  readonly isTopic: (topicId: string) => boolean;
  /** Told of each folder that a deletion left behind, before it is removed. */
  readonly onLeftover: (folder: string) => void;
  /** Told of each folder of a topic that nobody knows, by where it has been put. */
  readonly onUnknown: (folder: string) => void;
  /** Told of each folder that was put aside, by where it is again: its topic is known again. */
  readonly onPutBack: (folder: string) => void;
  /** Told when a folder that has been taken away could not be removed, which is tried again, or one could not be moved at a start, which is at the next. */
  readonly onRemoveFailed: (error: SluiceError) => void;
}

/**
 * Where topics on disk keep their logs, from the first partition until after they are deleted.
 *
 * A topic is deleted when the coordinator has forgotten it; then its folder gets a name that says so, and only folders of such a name are
 * ever removed. One of a topic that the coordinator does not know may be what a crash in between has left, or all that there is of a topic
 * whose coordination was lost or is of an earlier day: it is put aside, and put back when a start finds its topic known again. Nothing is
 * touched where the folder belongs to another cluster.
 */
export class TopicFolders {
  readonly #options: TopicFoldersOptions;
  readonly #making = new Map<string, Promise<void>>();
  /** Of folders that have been taken away, by their path. */
  readonly #removals: Removals;

  private constructor(options: TopicFoldersOptions) {
    this.#options = options;
    this.#removals = new Removals(options.clock, options.random);
  }

  /**
   * Takes the folder, puts aside what belongs to no topic, and begins to remove what deleted topics have left there.
   * @throws STORAGE_FAILED when it belongs to another cluster or cannot be read, STORAGE_FULL; nothing has been touched then
   */
  static async open(options: TopicFoldersOptions): Promise<TopicFolders> {
    const { files, directory } = options;
    const folders = new TopicFolders(options);
    try {
      await files.makeDirectory(directory);
      const names = await files.list(directory);
      if (names.includes(CLUSTER_FILE)) await folders.#checkCluster();
      else await folders.#begin(names);
      for (const name of names) if (isDeleted(name, TOPIC_ID)) folders.#removeLeftover(join(directory, name));
      await folders.#sort(names);
    } catch (cause) {
      throw storageError(cause, `cannot use ${directory}`);
    }
    return folders;
  }

  /**
   * The folder of a partition, there and durable.
   * @param isKnown it has had a log before: one that is missing is not begun again, for then its records would be lost silently
   * @throws STORAGE_FAILED, STORAGE_FULL
   */
  async partition(topic: TopicDefinition, partition: number, isKnown: boolean): Promise<string> {
    const directory = join(this.#folder(topic.id), String(partition));
    if (isKnown) await this.#checkLog(directory, topic, partition);
    else await this.#make(topic, directory);
    return directory;
  }

  /** Whether a partition has a log. @throws STORAGE_FAILED */
  async hasLog(topicId: string, partition: number): Promise<boolean> {
    return hasLog(await this.#namesIn(join(this.#folder(topicId), String(partition))));
  }

  /** Partitions of a topic that have a folder. @throws STORAGE_FAILED */
  async partitions(topicId: string): Promise<readonly number[]> {
    const names = await this.#namesIn(this.#folder(topicId));
    return names.filter((name) => PARTITION.test(name)).map(Number);
  }

  /** Makes durable that a partition has a log now. @throws STORAGE_FAILED, STORAGE_FULL */
  async begun(directory: string): Promise<void> {
    try {
      await this.#options.files.syncDirectory(directory);
    } catch (cause) {
      throw storageError(cause, `cannot sync ${directory}`);
    }
  }

  /** Takes a topic's folder out of the way, and begins to remove it. @throws STORAGE_FAILED, STORAGE_FULL */
  remove(topicId: string): Promise<void> {
    return this.#takeAway(this.#options.directory, topicId);
  }

  /** Takes a partition's folder out of the way, and begins to remove it. @throws STORAGE_FAILED, STORAGE_FULL */
  removePartition(topicId: string, partition: number): Promise<void> {
    return this.#takeAway(this.#folder(topicId), String(partition));
  }

  /** Resolves when nothing is being removed; what could not be is tried again later. */
  settled(): Promise<void> {
    return this.#removals.allSettled();
  }

  /** Removes nothing from now on; resolves when nothing is being removed. */
  close(): Promise<void> {
    return this.#removals.close();
  }

  #folder(topicId: string): string {
    return join(this.#options.directory, topicId);
  }

  async #checkCluster(): Promise<void> {
    const { files, directory, clusterId } = this.#options;
    const path = join(directory, CLUSTER_FILE);
    const found = (await files.readFile(path)).toString('utf8').trim();
    if (found === clusterId) return;
    throw new SluiceError(
      'STORAGE_FAILED',
      `${directory} belongs to the cluster ${found.slice(0, 64)} and not to ${clusterId}: ` +
        'restore the files of the coordination that belongs to it, or move it away',
    );
  }

  async #begin(names: readonly string[]): Promise<void> {
    const { files, directory, clusterId } = this.#options;
    if (names.some((name) => TOPIC_ID.test(name))) {
      throw new SluiceError(
        'STORAGE_FAILED',
        `${join(directory, CLUSTER_FILE)} is missing though there are topics; restore it from a backup`,
      );
    }
    await this.#writeFile(join(directory, CLUSTER_FILE), `${clusterId}\n`);
    await files.syncDirectory(directory);
    // Its own name, too.
    await files.syncDirectory(join(directory, '..'));
  }

  /** Puts folders of unknown topics aside, and those back whose topic is known again. */
  async #sort(names: readonly string[]): Promise<void> {
    const { isTopic, onUnknown, onPutBack } = this.#options;
    const ids = new Set(names.map((name) => name.replace(UNKNOWN, '')).filter((id) => TOPIC_ID.test(id)));
    for (const id of ids) {
      const aside = `${id}${UNKNOWN}`;
      // Where there are both, neither may take the place of the other.
      if (names.includes(id) && names.includes(aside)) continue;
      if (isTopic(id) && names.includes(aside)) await this.#move(aside, id, onPutBack);
      else if (!isTopic(id) && names.includes(id)) await this.#move(id, aside, onUnknown);
      if (isTopic(id)) await this.#removeLeftovers(id);
    }
  }

  async #move(from: string, to: string, onMoved: (folder: string) => void): Promise<void> {
    const { files, directory, onRemoveFailed } = this.#options;
    try {
      await files.rename(join(directory, from), join(directory, to));
      await files.syncDirectory(directory);
    } catch (cause) {
      onRemoveFailed(storageError(cause, `cannot move ${join(directory, from)} to ${to}`));
      return;
    }
    onMoved(join(directory, to));
  }

  /** Folders of partitions whose removal was cut off. */
  async #removeLeftovers(topicId: string): Promise<void> {
    const folder = this.#folder(topicId);
    try {
      for (const name of await this.#namesIn(folder)) {
        if (isDeleted(name, PARTITION)) this.#removeLeftover(join(folder, name));
      }
    } catch (error) {
      this.#options.onRemoveFailed(asSluiceError(error));
    }
  }

  #removeLeftover(path: string): void {
    this.#options.onLeftover(path);
    this.#removeInBackground(path);
  }

  async #takeAway(above: string, name: string): Promise<void> {
    const { files } = this.#options;
    const path = join(above, name);
    const gone = `${path}${DELETED}`;
    try {
      // What had this name before may still be there.
      await this.#removals.drop(gone);
      await files.removeDirectory(gone);
      await files.rename(path, gone);
      await files.syncDirectory(above);
    } catch (cause) {
      if (isMissing(cause)) return;
      throw storageError(cause, `cannot remove ${path}`);
    }
    this.#removeInBackground(gone);
  }

  #removeInBackground(path: string): void {
    const { files, onRemoveFailed } = this.#options;
    const remove = async (): Promise<void> => {
      try {
        await files.removeDirectory(path);
      } catch (cause) {
        throw storageError(cause, `cannot remove ${path}`);
      }
    };
    this.#removals.begin(path, { remove, onFailed: onRemoveFailed });
  }

  async #namesIn(directory: string): Promise<readonly string[]> {
    try {
      return await this.#options.files.list(directory);
    } catch (cause) {
      if (isMissing(cause)) return [];
      throw storageError(cause, `cannot read ${directory}`);
    }
  }

  async #checkLog(directory: string, topic: TopicDefinition, partition: number): Promise<void> {
    if (hasLog(await this.#namesIn(directory))) return;
    throw new SluiceError(
      'STORAGE_FAILED',
      `the records of ${topic.name}/${partition} are gone from ${directory}: restore the folder, or delete the topic`,
    );
  }

  async #make(topic: TopicDefinition, directory: string): Promise<void> {
    const { files } = this.#options;
    try {
      let making = this.#making.get(topic.id);
      if (!making) {
        making = this.#makeTopic(topic).finally(() => this.#making.delete(topic.id));
        this.#making.set(topic.id, making);
      }
      await making;
      await files.makeDirectory(directory);
      await files.syncDirectory(this.#folder(topic.id));
    } catch (cause) {
      throw storageError(cause, `cannot make ${directory}`);
    }
  }

  async #makeTopic({ id, name, createdMs }: TopicDefinition): Promise<void> {
    const { files, directory } = this.#options;
    const folder = this.#folder(id);
    await files.makeDirectory(folder);
    const about = { name, id, created: new Date(createdMs).toISOString() };
    await this.#writeFile(join(folder, 'topic.json'), `${JSON.stringify(about, undefined, 2)}\n`);
    await files.syncDirectory(directory);
  }

  async #writeFile(path: string, text: string): Promise<void> {
    const { files } = this.#options;
    const unfinished = `${path}${UNFINISHED}`;
    const file = await files.open(unfinished, { create: true });
    try {
      await file.truncate(0);
      await file.write([Buffer.from(text)], 0);
      await file.sync();
    } finally {
      await file.close();
    }
    await files.rename(unfinished, path);
  }
}

function isDeleted(name: string, what: RegExp): boolean {
  return name.endsWith(DELETED) && what.test(name.slice(0, -DELETED.length));
}

function isMissing(cause: unknown): boolean {
  return (cause as NodeJS.ErrnoException).code === 'ENOENT';
}
