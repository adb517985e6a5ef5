import type { GroupAnswer } from '../groups/api.ts';
import type { GroupRights } from './group-rights.ts';
import type { Principal } from './ports.ts';

/** Takes out of an answer what a member may not be told. A topic may have come up since its filters were looked at. */
export function visibleAssignment(
  rights: GroupRights,
  principal: Principal,
  answer: GroupAnswer<'joinGroup'>,
): void {
  answer.assigned = answer.assigned.filter(({ topic }) => rights.mayRead(principal, topic));
}

/**
 * Takes out of an answer the topics, and the wildcards, that the principal may not read.
 * @throws FORBIDDEN when that is all the group has; that says nothing about what it is
 */
export function visibleGroup(
  rights: GroupRights,
  principal: Principal,
  answer: GroupAnswer<'describeGroup'>,
): void {
  const mayRead = (name: string): boolean => rights.mayRead(principal, name);
  const isVisible = ({ topic }: { readonly topic: string }): boolean => mayRead(topic);
  const { offsets, members } = answer;
  const places = [...offsets, ...members.flatMap(({ assigned, revoking }) => [...assigned, ...revoking])];
  const names = [...places.map(({ topic }) => topic), ...members.flatMap(({ filters }) => filters)];
  if (names.length > 0 && !names.some(mayRead)) rights.access.refuse(principal, 'subscribe', '*');
  answer.offsets = offsets.filter(isVisible);
  for (const member of members) {
    member.assigned = member.assigned.filter(isVisible);
    member.revoking = member.revoking.filter(isVisible);
    member.filters = member.filters.filter(mayRead);
  }
}

/** Groups that read something that the principal may read; those that read nothing are for who administers the node. */
export function visibleGroups(
  rights: GroupRights,
  principal: Principal,
  groups: GroupAnswer<'listGroups'>['groups'],
): GroupAnswer<'listGroups'>['groups'] {
  const seesAll = rights.access.allows(principal, 'admin', undefined);
  return groups
    .map((group) => ({ ...group, topics: group.topics.filter((topic) => rights.mayRead(principal, topic)) }))
    .filter(({ topics }) => seesAll || topics.length > 0)
    .sort((a, b) => (a.group < b.group ? -1 : 1));
}

/** Queues on topics that the principal may read. */
export function visibleQueues(
  rights: GroupRights,
  principal: Principal,
  queues: GroupAnswer<'listQueues'>['queues'],
): GroupAnswer<'listQueues'>['queues'] {
  return queues
    .filter(({ topic }) => rights.mayRead(principal, topic))
    .sort((a, b) => (`${a.topic}/${a.group}` < `${b.topic}/${b.group}` ? -1 : 1));
}
