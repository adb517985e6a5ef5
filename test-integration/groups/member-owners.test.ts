/** Members of a group are their principals': a node with tokens, asked over QUIC and HTTP. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Client } from '../../src/client/index.ts';
import { eventually } from '../support/eventually.ts';
import { NodeProcess } from '../support/node-process.ts';

const ADMIN = 'a'.repeat(40);

let stack: AsyncDisposableStack;
let node: NodeProcess;
let admin: Client;
beforeEach(async () => {
  stack = new AsyncDisposableStack();
  const env = { SLUICE_AUTH_MODE: 'required', SLUICE_AUTH_ADMIN_TOKEN: ADMIN };
  node = stack.use(await NodeProcess.start({ env }));
  admin = await connect(ADMIN);
});
afterEach(() => stack.disposeAsync());

async function connect(token: string): Promise<Client> {
  return stack.adopt(await node.connect({ token, reconnect: { maxDelayMs: 250 } }), (one) =>
    one.close({ timeoutMs: 1000 }),
  );
}

async function tokenOf(principal: string): Promise<string> {
  const { token } = await admin.admin.createToken({
    principal,
    grants: [{ topics: '*', operations: ['subscribe'] }],
  });
  return token;
}

async function http(token: string, method: string, path: string, body?: object): Promise<number> {
  const { status } = await fetch(`http://${node.host}:${node.httpPort}/v1/groups/g/${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
  });
  return status;
}

const membersOf = async (): Promise<string[]> =>
  (await admin.admin.groups.describe('g')).members.map(({ memberId }) => memberId);

it('nobody else puts them out or takes their place, over any gateway, before and after the coordinator was killed', async () => {
  await admin.admin.createTopic({ name: 'orders', settings: { storage: 'disk' } });
  const [alice, bob] = [await tokenOf('alice'), await tokenOf('bob')];
  const member = (await connect(alice)).group('g', { topics: ['orders'], instanceId: 'one' });
  await member.ready();
  const { memberId } = member;
  const rival = async (): Promise<void> => {
    const path = `members/${memberId}`;
    expect(await http(bob, 'POST', path, { topics: ['orders'] })).toBe(403);
    expect(await http(bob, 'POST', 'members/other', { topics: ['orders'], instanceId: 'one' })).toBe(403);
    expect(await http(bob, 'DELETE', path)).toBe(403);
    const offsets = [{ topic: 'orders', partition: 0, offset: 1 }];
    expect(await http(bob, 'POST', 'offsets', { memberId, generation: 1, offsets })).toBe(403);
    const successor = (await connect(bob)).group('g', { topics: ['orders'], instanceId: 'one' });
    await expect(successor.ready()).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect(await membersOf()).toEqual([memberId]);
  };
  await rival();
  await node.kill('SIGKILL');
  await node.restart();
  await eventually('the group is known again', async () => (await membersOf()).length === 1);
  await rival();
  expect(await http(ADMIN, 'DELETE', `members/${memberId}`)).toBe(204);
  expect(await membersOf()).not.toContain(memberId);
}, 60_000);
