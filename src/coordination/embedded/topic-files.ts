import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { SluiceError } from '../../kernel/errors.ts';
import { storageError } from '../../kernel/storage-error.ts';
import type { TopicAlteration } from '../coordinator.ts';
import type { DiskReserve } from './disk-reserve.ts';
import { StateFile, listStateFiles } from './state-file.ts';
import { topicDefinitionSchema } from '../topic-schema.ts';

const topicSchema = z.strictObject({
  definition: topicDefinitionSchema,
  /** By partition: offsets below it may have been handed out. */
  offsetCeilings: z.array(z.int().nonnegative()),
});

/** What the file of a topic holds. */
export type TopicState = z.infer<typeof topicSchema>;

/** A partition on disk. */
export interface BegunLog {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
}

/** Folder of the topics of a data directory. */
export function topicsFolder(dataDir: string): string {
  return join(dataDir, 'coordination', 'topics');
}

/** File of one topic. */
export function topicPath(dataDir: string, name: string): string {
  return join(topicsFolder(dataDir), `${name}.json`);
}

/**
 * Reads all topics.
 * @throws STORAGE_FAILED when one cannot be read or is damaged
 */
export async function openTopics(
  dataDir: string,
  reserve: DiskReserve,
): Promise<readonly StateFile<TopicState>[]> {
  const directory = topicsFolder(dataDir);
  const topics: StateFile<TopicState>[] = [];
  for (const entry of await listStateFiles(directory)) {
    const path = join(directory, entry);
    const file = await StateFile.open<TopicState>(path, topicSchema, reserve);
    if (!file) continue;
    const { definition, offsetCeilings } = file.state;
    if (`${definition.name}.json` !== entry || offsetCeilings.length !== definition.partitions) {
      throw new SluiceError(
        'STORAGE_FAILED',
        `${path} is damaged (it is about ${definition.name}); restore it from a backup`,
      );
    }
    topics.push(file);
  }
  return topics;
}

/**
 * A topic as it is after a change.
 * @throws INVALID_ARGUMENT for fewer partitions
 */
export function altered(state: TopicState, change: TopicAlteration): TopicState {
  const { definition, offsetCeilings } = state;
  const partitions = change.partitions ?? definition.partitions;
  const added = partitions - definition.partitions;
  if (added < 0) {
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `${definition.name} has ${definition.partitions} partitions; it cannot shrink`,
    );
  }
  return {
    definition: { ...definition, partitions, settings: { ...definition.settings, ...change.settings } },
    offsetCeilings: [...offsetCeilings, ...new Array<number>(added).fill(0)],
  };
}

/**
 * Names of the topics that a node on its own keeps in a data directory, sorted; nothing is opened or changed.
 * @throws STORAGE_FAILED
 */
export async function embeddedTopics(dataDir: string): Promise<readonly string[]> {
  const directory = topicsFolder(dataDir);
  try {
    const names = await readdir(directory);
    return names
      .filter((name) => name.endsWith('.json'))
      .map((name) => name.slice(0, -'.json'.length))
      .sort();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw storageError(cause, `cannot list ${directory}`);
  }
}

/**
 * The partitions on disk that a node on its own has begun in a data directory; nothing is opened or changed.
 * Topics whose files cannot be read are left out: the node says so when it starts.
 * @throws STORAGE_FAILED when the directory cannot be listed
 */
export async function embeddedLogs(dataDir: string): Promise<readonly BegunLog[]> {
  const logs: BegunLog[] = [];
  for (const topic of await embeddedTopics(dataDir)) {
    const path = topicPath(dataDir, topic);
    const file = await StateFile.open<TopicState>(path, topicSchema).catch(() => undefined);
    if (file?.state.definition.settings.storage !== 'disk') continue;
    const { definition, offsetCeilings } = file.state;
    offsetCeilings.forEach((ceiling, partition) => {
      if (ceiling > 0) logs.push({ topic, topicId: definition.id, partition });
    });
  }
  return logs;
}
