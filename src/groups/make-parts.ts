import { ConsumerGroups } from './consumer/consumer-groups.ts';
import type { GroupParts } from './coordinator.ts';
import type { GroupPartOptions } from './group-part.ts';
import { Queues } from './queue/queues.ts';

/** Consumer groups and queues of one coordinator. */
export function makeGroupParts(options: GroupPartOptions): GroupParts {
  return { groups: new ConsumerGroups(options), queues: new Queues(options) };
}
