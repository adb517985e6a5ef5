import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Finished, Served } from './sluice.ts';
import { Place } from './sluice.ts';

const ADMIN = randomBytes(24).toString('hex');
const SETTINGS = `
auth: { mode: required }
tls: { clientCa: certs/ca.pem }
acl:
  rules:
    - { principal: ingest, topic: 'sensors*', operations: [publish] }
`;

let place: Place;
let node: Served;
beforeAll(async () => {
  place = new Place();
  await place.run(['certs', 'init']);
  await place.run(['certs', 'issue', 'ingest', '--client']);
  await place.run(['certs', 'issue', 'stranger', '--client']);
  writeFileSync(join(place.folder, 'sluice.yaml'), SETTINGS);
  node = await place.serve(['--config', 'sluice.yaml'], { SLUICE_AUTH_ADMIN_TOKEN: ADMIN });
});
afterAll(() => place.leave());

const as = (token: string, ...argv: string[]): Promise<Finished> =>
  place.run([...argv, '--server', node.quic], '', { SLUICE_TOKEN: token });

async function createToken(
  principal: string,
  grant: string,
  ...more: string[]
): Promise<{ id: string; token: string }> {
  const run = await as(ADMIN, 'token', 'create', principal, '--grant', grant, '-o', 'json', ...more);
  expect(run).toMatchObject({ exitCode: 0, stderr: '' });
  return JSON.parse(run.stdout) as { id: string; token: string };
}

describe('a node that asks who you are', () => {
  it('turns away who shows nothing', async () => {
    const run = await place.run(['pub', 'sensors', 'x', '--server', node.quic]);
    expect(run.exitCode).toBe(4);
    expect(run.stderr).toMatch(/^sluice: UNAUTHENTICATED: [^\n]+\n$/);
    for (const once of [/SLUICE_TOKEN/g, /certificate with --cert/g, node.quic])
      expect(run.stderr.split(once)).toHaveLength(2);
    expect(run.stderr).not.toContain('`');
  });

  it('lets a token publish where it may, and nowhere else', async () => {
    const { token } = await createToken('writer', 'sensors*:publish');
    expect((await as(token, 'pub', 'sensors-1', 'x')).exitCode).toBe(0);
    expect(await as(token, 'pub', 'prices', 'x')).toMatchObject({
      exitCode: 4,
      stderr: expect.stringMatching(/^sluice: FORBIDDEN: /) as string,
    });
    expect((await as(token, 'sub', 'sensors-1', '--timeout', '1s')).exitCode).toBe(4);
  });

  it('keeps administration to those who may', async () => {
    const { token } = await createToken('reader', '*:subscribe');
    expect((await as(token, 'token', 'list')).exitCode).toBe(4);
    expect((await as(token, 'topic', 'create', 'mine')).exitCode).toBe(4);
  });

  it('lists tokens without their secrets', async () => {
    const { id, token } = await createToken('listed', '*:subscribe', '--expires', '30d');
    const { stdout } = await as(ADMIN, 'token', 'list', '-o', 'json');
    expect(stdout).toContain(id);
    expect(stdout).not.toContain(token);
  });

  it('turns away a token that was revoked', async () => {
    const { id, token } = await createToken('gone', '*:publish');
    expect((await as(token, 'pub', 'a', 'x')).exitCode).toBe(0);
    expect((await as(ADMIN, 'token', 'revoke', id)).exitCode).toBe(0);
    const { exitCode, stderr } = await as(token, 'pub', 'a', 'x');
    expect(exitCode).toBe(4);
    expect(stderr).toMatch(/^sluice: UNAUTHENTICATED: [^\n]+: sluice token create\.\n$/);
    // It has a token, so it is not told how to give one.
    expect(stderr).not.toContain('SLUICE_TOKEN');
  });

  it('takes a token from a file', async () => {
    writeFileSync(join(place.folder, 'admin.token'), `${ADMIN}\n`);
    expect((await place.run(['status', '--token', '@admin.token', '--server', node.quic])).exitCode).toBe(0);
  });

  it('knows a client certificate by its name, and its rules', async () => {
    const certificate = (name: string): string[] => [
      '--cert',
      `certs/${name}.pem`,
      '--key',
      `certs/${name}-key.pem`,
    ];
    const publish = (name: string, topic: string): Promise<Finished> =>
      place.run(['pub', topic, 'x', '--server', node.quic, ...certificate(name)]);
    expect((await publish('ingest', 'sensors-2')).exitCode).toBe(0);
    expect((await publish('ingest', 'prices')).exitCode).toBe(4);
    expect((await publish('stranger', 'sensors-2')).exitCode).toBe(4);
  });
});
