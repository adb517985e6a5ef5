import { create } from '@bufbuild/protobuf';
import { expect, it } from 'vitest';
import { AccessControl } from '../../src/broker/access-control.ts';
import { visibleGroup } from '../../src/broker/group-answers.ts';
import { GroupRights } from '../../src/broker/group-rights.ts';
import type { DescribeGroupResponse } from '../../src/gen/sluice/client/v1/groups_pb.ts';
import { DescribeGroupResponseSchema } from '../../src/gen/sluice/client/v1/groups_pb.ts';
import type { SluiceError } from '../../src/kernel/errors.ts';
import { BOB } from './fixture.ts';

/** Whose topics begin with `open`. */
const rights = new GroupRights(
  new AccessControl({
    allows: (_, operation, topic) => topic?.startsWith('open') === true && operation !== 'admin',
  }),
  () => [],
);

/** A group of one member that has nothing yet but what it waits for, and gives up a partition of a topic. */
function waiting(filters: string[], revoking: string[] = []): DescribeGroupResponse {
  const given = revoking.map((topic) => ({ topic }));
  return create(DescribeGroupResponseSchema, { members: [{ memberId: 'm', filters, revoking: given }] });
}

it.each([
  ['wait for', waiting(['secret-*'])],
  ['give up', waiting([], ['secret'])],
])(
  'a group whose members only %s what one may not read is FORBIDDEN, and not told what that is',
  (_, answer) => {
    const refused = expect(() => visibleGroup(rights, BOB, answer));
    refused.toThrow(expect.objectContaining({ code: 'FORBIDDEN' }) as SluiceError);
    refused.not.toThrow(/secret/);
  },
);

it('a group shows of what its members wait for what one may read', () => {
  const answer = waiting(['open*', 'secret-*']);
  visibleGroup(rights, BOB, answer);
  expect(answer.members).toMatchObject([{ memberId: 'm', filters: ['open*'] }]);
});
