import type { GroupDescription, GroupMember, GroupSummary } from '../../client/index.ts';
import { withClient } from '../connection.ts';
import type { AdminFlags } from '../declare/declare-options.ts';
import { duration, facts, table, timestamp } from '../format.ts';
import { parseStart } from '../records/start-position.ts';
import type { Terminal } from '../terminal.ts';

/** Options of `sluice group reset`. */
export interface GroupResetFlags extends AdminFlags {
  readonly to: string;
  readonly partition?: number;
}

/** Lists the consumer groups of topics that the principal may read. */
export function listGroups(flags: AdminFlags, terminal: Terminal): Promise<void> {
  return withClient(terminal, flags, async ({ admin }) => {
    const groups = await admin.groups.list();
    terminal.stdout.line(flags.output === 'json' ? JSON.stringify(groups) : groupTable(groups));
  });
}

/** Shows members, assignment, committed offsets and lag. @throws GROUP_NOT_FOUND */
export function describeGroup(name: string, flags: AdminFlags, terminal: Terminal): Promise<void> {
  return withClient(terminal, flags, async ({ admin }) => {
    const group = await admin.groups.describe(name);
    terminal.stdout.line(flags.output === 'json' ? JSON.stringify(group) : groupText(group));
  });
}

/**
 * Sets where a group without members goes on in a topic, and shows it.
 * @throws GROUP_NOT_FOUND, GROUP_NOT_EMPTY, TOPIC_NOT_FOUND, PARTITION_NOT_FOUND, OFFSET_OUT_OF_RANGE, INVALID_ARGUMENT
 */
export function resetGroup(
  name: string,
  topic: string,
  flags: GroupResetFlags,
  terminal: Terminal,
): Promise<void> {
  const to = parseStart(flags.to, terminal.clock, ['earliest', 'latest']);
  return withClient(terminal, flags, async ({ admin }) => {
    const partitions = flags.partition === undefined ? [] : [flags.partition];
    const positions = await admin.groups.reset(name, topic, to, partitions);
    const rows = positions.map(({ partition, offset }) => [partition, offset]);
    terminal.stdout.line(
      flags.output === 'json' ? JSON.stringify(positions) : table(['PARTITION', 'NEXT'], rows),
    );
  });
}

/** Forgets groups without members, one after the other. @throws GROUP_NOT_FOUND, GROUP_NOT_EMPTY at the first one */
export function deleteGroups(names: readonly string[], flags: AdminFlags, terminal: Terminal): Promise<void> {
  return withClient(terminal, flags, async ({ admin }) => {
    for (const name of names) await admin.groups.delete(name);
    terminal.stdout.line(
      flags.output === 'json' ? JSON.stringify({ deleted: names }) : `deleted ${names.join(', ')}`,
    );
  });
}

function groupTable(groups: readonly GroupSummary[]): string {
  const rows = groups.map(({ group, state, members, topics, coordinatorNodeId }) => [
    group,
    state,
    members,
    topics.join(' '),
    coordinatorNodeId,
  ]);
  return table(['GROUP', 'STATE', 'MEMBERS', 'TOPICS', 'COORDINATOR'], rows);
}

/** A group as text: facts, members, partitions. */
export function groupText(group: GroupDescription): string {
  const about = facts([
    ['group', group.group],
    ['state', group.state],
    ['generation', group.generation],
    ['coordinator', group.coordinatorNodeId],
    ['lag', group.lag],
  ]);
  return [about, memberTable(group.members), offsetTable(group)].join('\n\n');
}

function memberTable(members: readonly GroupMember[]): string {
  const rows = members.map((member) => [
    member.memberId,
    member.clientId,
    member.instanceId ?? '-',
    member.filters.join(' '),
    member.assigned.length,
    member.revoking.length,
    duration(member.idleMs),
  ]);
  return table(['MEMBER', 'CLIENT', 'INSTANCE', 'TOPICS', 'PARTITIONS', 'GIVING UP', 'IDLE'], rows);
}

function offsetTable({ offsets }: GroupDescription): string {
  const rows = offsets.map((one) => [
    `${one.topic}/${one.partition}`,
    one.committed ?? '-',
    one.end,
    one.lag,
    one.memberId ?? '-',
    one.committedMs === undefined ? '-' : timestamp(one.committedMs),
  ]);
  return table(['PARTITION', 'COMMITTED', 'END', 'LAG', 'MEMBER', 'COMMITTED AT'], rows);
}
