import { integer, list, object, reference, text } from './json-schema.ts';
import { PLACE } from './shared.ts';

const GROUP_PARTITION = object({ topic: text(), partition: integer() }, ['topic', 'partition']);

/** Answer: all consumer groups. */
export const GROUPS = {
  description: 'By name',
  ...object(
    {
      groups: list(
        object(
          {
            group: text(),
            state: text('empty, stable or rebalancing'),
            members: integer(),
            topics: list(text()),
            coordinatorNodeId: text(),
          },
          ['group', 'state', 'members', 'topics', 'coordinatorNodeId'],
        ),
      ),
    },
    ['groups'],
  ),
};

/** Answer: one group, with its members and where they are. */
export const GROUP = {
  description: 'The group',
  ...object(
    {
      group: text(),
      state: text('empty, stable or rebalancing'),
      generation: integer(),
      members: list(
        object(
          {
            memberId: text(),
            instanceId: text(),
            clientId: text(),
            assigned: list(GROUP_PARTITION),
            revoking: list(GROUP_PARTITION),
            idleMs: integer(),
            filters: list(text()),
          },
          ['memberId', 'assigned'],
        ),
      ),
      offsets: list(
        object(
          {
            topic: text(),
            partition: integer(),
            committed: integer(),
            metadata: text(),
            end: integer(),
            lag: integer('Records, at most'),
            memberId: text('Empty: nobody'),
            committedMs: integer('Milliseconds since 1970; 0: never'),
          },
          ['topic', 'partition', 'committed', 'end', 'lag'],
        ),
      ),
      coordinatorNodeId: text(),
    },
    ['group', 'state', 'generation', 'members', 'offsets', 'coordinatorNodeId'],
  ),
};

/** Body: where a group is to go on. */
export const RESET = object({ topic: text(), partitions: list(integer('Default: all')), to: PLACE }, [
  'topic',
  'to',
]);

/** Answer: where it goes on. */
export const RESET_DONE = {
  description: 'Where the group goes on',
  ...object(
    {
      offsets: list(
        object({ topic: text(), partition: integer(), offset: integer(), metadata: text() }, [
          'topic',
          'partition',
          'offset',
        ]),
      ),
    },
    ['offsets'],
  ),
};

/** Body: what a group has done. */
export const COMMIT = object(
  {
    memberId: text('Default: nobody of the group, which then must have no members'),
    generation: integer('As the member knows it'),
    offsets: list(
      object(
        { topic: text(), partition: integer(), offset: integer('The first not done'), metadata: text() },
        ['topic', 'partition', 'offset'],
      ),
    ),
  },
  ['offsets'],
);

/** Answer: what became of each commit. */
export const COMMITTED = {
  description: 'All are committed; where one is refused the status is that of its error',
  ...object(
    {
      error: reference('Fault'),
      results: list(
        object({ topic: text(), partition: integer(), error: reference('Fault') }, ['topic', 'partition']),
      ),
    },
    ['results'],
  ),
};

/** Body: a member joins, or says that it is still there. */
export const JOIN = object(
  {
    topics: list(text('Topics, or wildcards over topics')),
    generation: integer('What the last answer said; 0: joins'),
    owned: list(GROUP_PARTITION),
    instanceId: text('Static membership'),
    clientId: text('For people'),
    sessionTimeoutMs: integer('Default 10 s'),
    waitMs: integer('Milliseconds; at most a third of the session timeout counts', {
      minimum: 0,
      maximum: 30_000,
    }),
    from: PLACE,
  },
  ['topics'],
);

/** Answer: what that member may read. */
export const ASSIGNMENT = {
  description: 'What the member may read',
  ...object(
    {
      generation: integer(),
      assigned: list(
        object({ topic: text(), partition: integer(), offset: integer('Where to begin') }, [
          'topic',
          'partition',
          'offset',
        ]),
      ),
      sessionTimeoutMs: integer(),
    },
    ['generation', 'assigned', 'sessionTimeoutMs'],
  ),
};
