import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Served } from './sluice.ts';
import { Place } from './sluice.ts';

const UNTRUSTED =
  /^sluice: CERTIFICATE_REJECTED: [^\n]*an authority that is not trusted[^\n]* --ca [^\n]*tls\/ca\.pem\.\n$/;

let place: Place;
let node: Served;
beforeAll(async () => {
  place = new Place();
  node = await place.serve();
  await place.run(['topic', 'create', 'small', '--server', node.quic]);
});
afterAll(() => place.leave());

describe('exit codes', () => {
  it.each([
    [2, 'INVALID_FILTER', ['sub', 'a/#/b']],
    [2, 'INVALID_TOPIC', ['pub', '!', 'x']],
    [5, 'TOPIC_NOT_FOUND', ['topic', 'describe', 'nowhere']],
    [5, 'TOPIC_NOT_FOUND', ['topic', 'delete', 'nowhere']],
    [5, 'TOKEN_NOT_FOUND', ['token', 'revoke', 'nothing']],
    [5, 'OFFSET_OUT_OF_RANGE', ['sub', 'small', '--from', '100']],
    [5, 'OFFSET_OUT_OF_RANGE', ['topic', 'delete-records', 'small', '--before', '100']],
    [5, 'PARTITION_NOT_FOUND', ['pub', 'small', 'x', '--partition', '99']],
    [2, 'INVALID_ARGUMENT', ['topic', 'alter', 'small']],
    [2, 'INVALID_ARGUMENT', ['pub', 'small', '--file', 'missing']],
  ])('%i for %s', async (exitCode, code, argv) => {
    const run = await place.run([...argv, '--server', node.quic]);
    expect(run).toMatchObject({ exitCode, stdout: '' });
    expect(run.stderr).toMatch(new RegExp(`^sluice: ${code}: [^\\n]+\\n$`));
  });

  it('8 for a topic that exists, and 0 where that was allowed', async () => {
    const create = ['topic', 'create', 'twice', '--server', node.quic];
    expect((await place.run(create)).exitCode).toBe(0);
    expect(await place.run(create)).toMatchObject({
      exitCode: 8,
      stdout: '',
      stderr: expect.stringMatching(/^sluice: TOPIC_EXISTS: [^\n]*--if-not-exists[^\n]*\n$/) as string,
    });
    expect((await place.run([...create, '--if-not-exists'])).exitCode).toBe(0);
  });

  it('3 when nothing listens there', async () => {
    const run = await place.run(['status', '--server', 'quic://127.0.0.1:9', '--ca', node.ca]);
    expect(run).toMatchObject({ exitCode: 3, stdout: '' });
    expect(run.stderr).toMatch(/^sluice: CONNECT_FAILED: [^\n]+\n$/);
    expect(run.stderr.match(/127\.0\.0\.1:9/g)).toHaveLength(1);
  });

  it.each(['quic', 'tls'] as const)('4 when another authority signed the server, over %s', async (scheme) => {
    await place.run(['certs', 'init', '--dir', `other-${scheme}`]);
    const run = await place.run(['status', '--server', node[scheme]!, '--ca', `other-${scheme}/ca.pem`]);
    expect(run).toMatchObject({ exitCode: 4, stdout: '' });
    expect(run.stderr).toMatch(UNTRUSTED);
    expect(run.stderr.match(/SLUICE_CA/g)).toHaveLength(1);
  });

  it.each(['quic', 'tls'] as const)(
    '4 when nobody says who signed the server on this machine, over %s',
    async (scheme) => {
      // Another user: the note that the node left is not found.
      const run = await place.run(['status', '--server', node[scheme]!], '', {
        XDG_STATE_HOME: '/nonexistent',
      });
      expect(run).toMatchObject({ exitCode: 4, stdout: '' });
      expect(run.stderr).toMatch(UNTRUSTED);
    },
  );
});
