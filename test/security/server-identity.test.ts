import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Clock } from '../../src/kernel/clock.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { summarizeCertificate } from '../../src/security/certificates.ts';
import type { ServerIdentity } from '../../src/security/server-identity.ts';
import { ensureServerIdentity, serverIdentityFiles } from '../../src/security/server-identity.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const START_MS = Date.UTC(2026, 0, 1);

describe('server identity', () => {
  let dataDir: string;
  let nowMs: number;
  const clock: Clock = {
    now: () => nowMs,
    monotonicMs: () => 0,
    setTimer: () => ({ cancel: () => undefined }),
  };
  const ensure = (names: string[] = ['localhost', '127.0.0.1']): Promise<ServerIdentity> =>
    ensureServerIdentity(dataDir, names, clock, systemRandom);

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'sluice-identity-'));
    nowMs = START_MS;
  });
  afterEach(() => rm(dataDir, { recursive: true }));

  it('creates an authority and a server certificate on first use', async () => {
    const identity = await ensure();
    const files = serverIdentityFiles(dataDir);
    expect(identity.created).toBe('authority');
    expect(await readFile(files.authorityCertificate, 'utf8')).toBe(identity.authority.certificatePem);
    expect(await readFile(files.serverCertificate, 'utf8')).toBe(identity.server.certificatePem);
  });

  it('lets only the owner read the keys', async () => {
    await ensure();
    const files = serverIdentityFiles(dataDir);
    const modes = [files.directory, files.authorityKey, files.serverKey].map(
      async (path) => (await stat(path)).mode & 0o777,
    );
    expect(await Promise.all(modes)).toEqual([0o700, 0o600, 0o600]);
  });

  it('uses what it finds after a restart', async () => {
    const first = await ensure();
    expect(await ensure()).toEqual({ ...first, created: 'nothing' });
  });

  it('issues the server certificate again when it ends within 30 days, by the same authority', async () => {
    const first = await ensure();
    nowMs += 368 * DAY_MS;
    const later = await ensure();
    expect([later.created, later.authority.certificatePem]).toEqual([
      'server',
      first.authority.certificatePem,
    ]);
  });

  it('issues the server certificate again when a name is missing', async () => {
    await ensure(['localhost']);
    const { server } = await ensure(['localhost', 'broker.example']);
    expect(summarizeCertificate(server.certificatePem).names).toEqual(['localhost', 'broker.example']);
  });

  it('keeps a certificate that has more names than asked for', async () => {
    await ensure(['localhost', 'broker.example']);
    expect((await ensure(['localhost'])).created).toBe('nothing');
  });

  it('issues the server certificate again when its file is damaged', async () => {
    await ensure();
    await writeFile(serverIdentityFiles(dataDir).serverCertificate, 'not a certificate');
    expect((await ensure()).created).toBe('server');
  });

  it('issues the server certificate again when its key is another one', async () => {
    await ensure();
    const files = serverIdentityFiles(dataDir);
    await writeFile(files.serverKey, await readFile(files.authorityKey));
    expect((await ensure()).created).toBe('server');
  });

  it('keeps a certificate for an IPv6 address', async () => {
    await ensure(['::1', 'fe80::1:2']);
    expect((await ensure(['::1', 'fe80::1:2'])).created).toBe('nothing');
  });

  it('does not make a new authority where only the key is lost', async () => {
    await ensure();
    await rm(serverIdentityFiles(dataDir).authorityKey);
    await expect(ensure()).rejects.toMatchObject({ code: 'INVALID_CONFIG' });
  });

  it('does not make a new authority where only the certificate is lost', async () => {
    await ensure();
    await rm(serverIdentityFiles(dataDir).authorityCertificate);
    await expect(ensure()).rejects.toMatchObject({ code: 'INVALID_CONFIG' });
  });

  it('makes an authority where a crash has left nothing but its key', async () => {
    await ensure();
    const { authorityCertificate, serverCertificate, serverKey } = serverIdentityFiles(dataDir);
    for (const path of [authorityCertificate, serverCertificate, serverKey]) await rm(path);
    expect((await ensure()).created).toBe('authority');
  });

  it('does not replace a damaged authority silently', async () => {
    await ensure();
    await writeFile(serverIdentityFiles(dataDir).authorityCertificate, 'not a certificate');
    await expect(ensure()).rejects.toMatchObject({ code: 'INVALID_CONFIG' });
  });

  it('reports a directory that cannot be used', async () => {
    const file = join(dataDir, 'file');
    await writeFile(file, '');
    const attempt = ensureServerIdentity(file, ['localhost'], clock, systemRandom);
    await expect(attempt).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
  });
});
