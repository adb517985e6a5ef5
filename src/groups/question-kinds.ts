import type { GroupCase, GroupQuestion } from './api.ts';
import { DEFAULT_QUEUE_GROUP } from './api.ts';

/** Who answers a question: consumer groups or queues. */
export type PartKind = 'groups' | 'queues';

const KINDS: Readonly<Record<GroupCase, PartKind>> = {
  joinGroup: 'groups',
  leaveGroup: 'groups',
  commitOffsets: 'groups',
  describeGroup: 'groups',
  listGroups: 'groups',
  resetGroup: 'groups',
  deleteGroup: 'groups',
  receive: 'queues',
  settle: 'queues',
  configureQueue: 'queues',
  describeQueue: 'queues',
  listQueues: 'queues',
  deleteQueue: 'queues',
  browseQueue: 'queues',
  moveRecords: 'queues',
  discardRecords: 'queues',
};

/** Which part answers questions of that name. */
export function partOf(name: GroupCase): PartKind {
  return KINDS[name];
}

/** Which part a fact belongs to. @param key its first level */
export function partOfFact(key: string): PartKind {
  return key === 'q' ? 'queues' : 'groups';
}

/** The key whose hash says who coordinates what a question is about; undefined: all coordinators are asked. */
export function coordinationKey(name: GroupCase, question: GroupQuestion): string | undefined {
  if (name === 'listGroups' || name === 'listQueues') return undefined;
  const { topic, group } = question as { readonly topic?: string; readonly group: string };
  return partOf(name) === 'queues' ? `q/${topic}/${group || DEFAULT_QUEUE_GROUP}` : `g/${group}`;
}
