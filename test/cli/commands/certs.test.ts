import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Run } from '../fake-terminal.ts';
import { runHere } from '../fake-terminal.ts';

let folder: string;
const sluice = (...argv: string[]): Promise<Run> => runHere(argv, { folder });
const certificate = (name: string): X509Certificate =>
  new X509Certificate(readFileSync(join(folder, 'certs', name)));

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-certs-'));
  await sluice('certs', 'init');
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

describe('sluice certs', () => {
  it('keeps the key of the authority to its owner', () => {
    expect(statSync(join(folder, 'certs/ca-key.pem')).mode & 0o077).toBe(0);
  });

  it('never replaces an authority', async () => {
    const before = readFileSync(join(folder, 'certs/ca.pem'), 'utf8');
    const run = await sluice('certs', 'init');
    expect(run.exitCode).toBe(2);
    expect(readFileSync(join(folder, 'certs/ca.pem'), 'utf8')).toBe(before);
  });

  it('issues a server certificate for all its hosts', async () => {
    const run = await sluice(
      'certs',
      'issue',
      'broker-1',
      '--server',
      '--host',
      'b1.example.org',
      '--host',
      '10.0.0.5',
    );
    expect(run.exitCode).toBe(0);
    expect(certificate('broker-1.pem').subjectAltName).toBe('DNS:b1.example.org, IP Address:10.0.0.5');
    expect(certificate('broker-1.pem').verify(certificate('ca.pem').publicKey)).toBe(true);
  });

  it('issues a client certificate whose name is the principal', async () => {
    await sluice('certs', 'issue', 'ingest', '--client');
    expect(certificate('ingest.pem').subject).toBe('CN=ingest');
  });

  it('issues a node certificate that names cluster and node', async () => {
    await sluice('certs', 'issue', 'node-1', '--node', '--cluster', 'blue', '--host', '10.0.0.5');
    await sluice('certs', 'issue', 'node-2', '--node');
    expect(certificate('node-1.pem').subjectAltName).toBe(
      'URI:sluice://blue/node/node-1, IP Address:10.0.0.5',
    );
    expect(certificate('node-2.pem').subjectAltName).toBe('URI:sluice://main/node/node-2');
    const shown = await sluice('certs', 'show', 'certs/node-2.pem', '-o', 'json');
    expect(JSON.parse(shown.stdout)).toMatchObject([{ names: ['sluice://main/node/node-2'] }]);
  });

  it('names the files it wrote as JSON', async () => {
    const run = await sluice('certs', 'issue', 'ingest', '--client', '-o', 'json');
    expect(JSON.parse(run.stdout)).toEqual({
      certificate: join(folder, 'certs/ingest.pem'),
      key: join(folder, 'certs/ingest-key.pem'),
      ca: join(folder, 'certs/ca.pem'),
    });
  });

  it('shows what a certificate says', async () => {
    await sluice('certs', 'issue', 'broker-1', '--server', '--host', 'localhost');
    const run = await sluice('certs', 'show', 'certs/broker-1.pem', '-o', 'json');
    expect(JSON.parse(run.stdout)).toMatchObject([
      {
        file: 'certs/broker-1.pem',
        subject: 'CN=localhost',
        names: ['localhost'],
        authority: false,
        expired: false,
      },
    ]);
  });

  it('leaves the keys out that lie between certificates', async () => {
    await sluice('certs', 'issue', 'ingest', '--client');
    const names = ['ca-key.pem', 'ca.pem', 'ingest-key.pem', 'ingest.pem'];
    const run = await sluice('certs', 'show', ...names.map((name) => `certs/${name}`), '-o', 'json');
    expect(run.exitCode).toBe(0);
    expect(JSON.parse(run.stdout)).toMatchObject([{ file: 'certs/ca.pem' }, { file: 'certs/ingest.pem' }]);
    expect(run.stderr).toMatch(
      /^sluice: certs\/ca-key.pem is [^\n]+\nsluice: certs\/ingest-key.pem is [^\n]+\n$/,
    );
  });

  it('has nothing to show of a key alone', async () => {
    expect((await sluice('certs', 'show', 'certs/ca-key.pem')).exitCode).toBe(2);
  });

  it.each([
    ['neither server nor client', ['issue', 'x']],
    ['both', ['issue', 'x', '--server', '--client']],
    ['a client that is a node', ['issue', 'x', '--node', '--client']],
    ['a node id that is none', ['issue', 'x@y', '--node']],
    ['a cluster for a client', ['issue', 'x', '--client', '--cluster', 'main']],
    ['a name that leaves the folder', ['issue', '../x', '--client']],
    ['the name of the authority', ['issue', 'ca', '--client']],
    ['hosts for a client', ['issue', 'x', '--client', '--host', 'a']],
    ['a folder without authority', ['issue', 'x', '--client', '--dir', 'elsewhere']],
    ['a file that does not exist', ['show', 'missing.pem']],
  ])('refuses %s', async (_, argv) => {
    const run = await sluice('certs', ...argv);
    expect(run.exitCode).toBe(2);
    expect(run.stderr).toMatch(/^sluice: INVALID_ARGUMENT: [^\n]+\n$/);
  });

  it('refuses a file that is no certificate', async () => {
    writeFileSync(join(folder, 'x.pem'), 'no');
    expect((await sluice('certs', 'show', 'x.pem')).exitCode).toBe(2);
  });
});
