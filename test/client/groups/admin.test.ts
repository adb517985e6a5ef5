import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Client } from '../../../src/client/client.ts';
import { ERRORS } from '../../../src/kernel/errors.ts';
import { FakeBroker } from '../fake-broker.ts';
import type { GroupBody, ScriptedAnswer } from '../scripted-groups.ts';
import { scriptGroups } from '../scripted-groups.ts';

let broker: FakeBroker;
let client: Client;
let asked: GroupBody[];
beforeEach(async () => {
  broker = await FakeBroker.open();
  client = await broker.client();
});
afterEach(() => broker[Symbol.asyncDispose]());

/** Answers each question in turn. */
function script(...answers: ScriptedAnswer[]): void {
  asked = scriptGroups(broker, answers);
}

describe('administration of consumer groups', () => {
  it('lists groups', async () => {
    script({
      case: 'listGroups',
      value: {
        groups: [{ group: 'g', state: 'stable', members: 2, topics: ['t'], coordinatorNodeId: 'n1' }],
      },
    });
    expect(await client.admin.groups.list()).toEqual([
      { group: 'g', state: 'stable', members: 2, topics: ['t'], coordinatorNodeId: 'n1' },
    ]);
  });

  it('describes a group, with its lag', async () => {
    const place = { topic: 't', partition: 1 };
    script({
      case: 'describeGroup',
      value: {
        group: 'g',
        state: 'rebalancing',
        generation: 4,
        members: [
          { memberId: 'm', clientId: 'c', filters: ['t'], assigned: [place], revoking: [place], idleMs: 12n },
        ],
        offsets: [
          { ...place, committed: 5n, end: 9n, lag: 4n, memberId: 'm', committedMs: 77n, metadata: 'x' },
          { topic: 't', partition: 2, end: 3n, lag: 3n },
        ],
        coordinatorNodeId: 'n1',
      },
    });
    expect(await client.admin.groups.describe('g')).toEqual({
      group: 'g',
      state: 'rebalancing',
      generation: 4,
      members: [
        {
          memberId: 'm',
          instanceId: undefined,
          clientId: 'c',
          filters: ['t'],
          assigned: [place],
          revoking: [place],
          idleMs: 12,
        },
      ],
      offsets: [
        { ...place, committed: 5, metadata: 'x', end: 9, lag: 4, memberId: 'm', committedMs: 77 },
        {
          topic: 't',
          partition: 2,
          committed: undefined,
          metadata: '',
          end: 3,
          lag: 3,
          memberId: undefined,
          committedMs: undefined,
        },
      ],
      lag: 7,
      coordinatorNodeId: 'n1',
    });
  });

  it('sets where a group goes on', async () => {
    script({ case: 'resetGroup', value: { offsets: [{ topic: 't', partition: 1, offset: 9n }] } });
    expect(await client.admin.groups.reset('g', 't', new Date(5000), [1])).toEqual([
      { topic: 't', partition: 1, offset: 9 },
    ]);
    expect(asked[0]!.value).toMatchObject({
      group: 'g',
      topic: 't',
      partitions: [1],
      to: { at: { case: 'timestampMs', value: 5000n } },
    });
  });

  it('commits for a group without members, and throws what one of the partitions is refused with', async () => {
    const results = [{ errorCode: 0 }, { errorCode: ERRORS.GROUP_NOT_EMPTY.wire }];
    script({ case: 'commitOffsets', value: { results } });
    const positions = [0, 1].map((partition) => ({ topic: 't', partition, offset: 7 }));
    await expect(client.admin.groups.commit('g', positions)).rejects.toMatchObject({
      code: 'GROUP_NOT_EMPTY',
    });
    expect(asked[0]!.value).toMatchObject({
      group: 'g',
      memberId: '',
      offsets: [{ offset: 7n }, { offset: 7n }],
    });
  });

  it('asks again while the coordinator is on its way', async () => {
    script({ error: 'NOT_LEADER' }, { error: 'CANCELLED' }, { case: 'listGroups', value: {} });
    const listed = client.admin.groups.list();
    await broker.pass(1000);
    expect(await listed).toEqual([]);
  });

  it('does not delete twice', async () => {
    script({ error: 'UNAVAILABLE' });
    await expect(client.admin.groups.delete('g')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});
