import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemRandom } from '../../src/kernel/random.ts';
import { CertificateRotation } from '../../src/node/certificate-rotation.ts';
import type { Logger } from '../../src/telemetry/logger.ts';
import { silentLogger } from '../../src/telemetry/logger.ts';
import type { TlsIdentity } from '../../src/transport/transport.ts';
import type { Authority, IssueOptions } from '../support/certificates.ts';
import { makeAuthority } from '../support/certificates.ts';
import { FakeClock } from '../support/fake-clock.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const SERVER: IssueOptions = { names: ['broker.example'] };

interface Given {
  readonly identity: TlsIdentity;
  readonly clientAuthoritiesPem: string | undefined;
}

describe('certificate rotation', () => {
  let folder: string;
  let authority: Authority;
  let clock: FakeClock;
  let events: string[];
  let given: Given[];
  let rotation: CertificateRotation | undefined;
  let log: Logger;

  const file = (name: string): string => join(folder, name);
  const listener = {
    setIdentity: (identity: TlsIdentity, clientAuthoritiesPem?: string) => {
      given.push({ identity, clientAuthoritiesPem });
    },
  };

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-rotation-'));
    authority = await makeAuthority();
    clock = new FakeClock(Date.now());
    events = [];
    given = [];
    const note = (evt: string): void => void events.push(evt);
    log = { ...silentLogger, info: note, warn: note, error: note };
  });
  afterEach(async () => {
    await rotation?.[Symbol.asyncDispose]();
    rotation = undefined;
    await rm(folder, { recursive: true });
  });

  async function put(identity: TlsIdentity): Promise<void> {
    await writeFile(file('server.pem'), identity.certificatePem);
    await writeFile(file('server-key.pem'), identity.privateKeyPem);
  }

  async function open(configured = true): Promise<CertificateRotation> {
    const certificateFiles = configured
      ? { certificate: file('server.pem'), key: file('server-key.pem') }
      : null;
    const tls = {
      certificateFiles,
      clientCaFile: configured ? file('ca.pem') : null,
      names: ['broker.example'],
      listen: null,
      advertise: null,
      requireClientCertificate: false,
    };
    rotation = await CertificateRotation.open({ tls, dataDir: folder }, { clock, random: systemRandom, log });
    return rotation;
  }

  async function start(): Promise<{ first: TlsIdentity; rotating: CertificateRotation }> {
    const first = await authority.issue(SERVER);
    await put(first);
    await writeFile(file('ca.pem'), authority.certificatePem);
    const rotating = await open();
    rotating.watch(() => [listener]);
    return { first, rotating };
  }

  /** Lets the files be looked at once, by the clock. */
  async function look(rotating: CertificateRotation): Promise<void> {
    clock.advance(10_000);
    await rotating.idle();
  }

  it('gives a changed certificate to every listener', async () => {
    const { rotating } = await start();
    const next = await authority.issue(SERVER);
    await put(next);
    await look(rotating);
    expect(given).toEqual([{ identity: next, clientAuthoritiesPem: authority.certificatePem }]);
    expect(events).toEqual(['security.certificates_replaced']);
  });

  it('gives changed authorities of clients to every listener', async () => {
    const { first, rotating } = await start();
    const both = authority.certificatePem + (await makeAuthority('next')).certificatePem;
    await writeFile(file('ca.pem'), both);
    await look(rotating);
    expect(given).toEqual([{ identity: first, clientAuthoritiesPem: both }]);
  });

  it('does nothing while the files stay as they are, however often it looks', async () => {
    const { rotating } = await start();
    for (let i = 0; i < 3; i += 1) await look(rotating);
    expect([given, events, clock.pendingTimers]).toEqual([[], [], 1]);
  });

  it('reads at once when it is asked', async () => {
    const { rotating } = await start();
    await put(await authority.issue(SERVER));
    expect([await rotating.reload(), given.length, rotating.replaced]).toEqual([true, 1, 1]);
  });

  it.each([
    ['is missing', async () => rm(file('server.pem'))],
    ['is empty', async () => writeFile(file('server.pem'), '')],
    [
      'has expired',
      async () => put(await authority.issue({ ...SERVER, notBeforeDaysAgo: 3, notAfterDays: -1 })),
    ],
    ['is not valid yet', async () => put(await authority.issue({ ...SERVER, notBeforeDaysAgo: -1 }))],
  ])('keeps the old certificate when the new one %s, and says so once', async (_what, spoil) => {
    const { first, rotating } = await start();
    await spoil();
    for (let i = 0; i < 3; i += 1) await look(rotating);
    expect([given, rotating.current.identity, events, rotating.failed]).toEqual([
      [],
      first,
      ['tls.reload_failed'],
      1,
    ]);
  });

  it.each([
    ['empty', ''],
    ['cut off', '-----BEGIN CERTIFICATE-----\nMIIB'],
    ['no certificate', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'],
  ])('keeps the old authorities when the new file is %s', async (_what, content) => {
    const { rotating } = await start();
    await writeFile(file('ca.pem'), content);
    expect([await rotating.reload(), given, events]).toEqual([false, [], ['tls.reload_failed']]);
  });

  it('begins with no authorities that hold no certificate', async () => {
    await put(await authority.issue(SERVER));
    await writeFile(file('ca.pem'), '');
    await expect(open()).rejects.toMatchObject({ code: 'INVALID_CONFIG' });
  });

  it('takes the old one back from those that got it when another listener cannot use the new one', async () => {
    const { first, rotating } = await start();
    rotating.watch(() => [
      listener,
      {
        setIdentity: (identity: TlsIdentity) => {
          if (identity !== rotating.current.identity) throw new Error('unusable');
        },
      },
    ]);
    await put(await authority.issue(SERVER));
    await rotating.reload();
    expect([given.at(-1)!.identity, rotating.current.identity, rotating.replaced]).toEqual([first, first, 0]);
  });

  it('goes on looking after a failure', async () => {
    const { rotating } = await start();
    await writeFile(file('server.pem'), '');
    await look(rotating);
    const next = await authority.issue(SERVER);
    await put(next);
    await look(rotating);
    expect(given.map(({ identity }) => identity)).toEqual([next]);
  });

  it('renews the certificate that the node made itself before it ends', async () => {
    const rotating = await open(false);
    rotating.watch(() => [listener]);
    const before = rotating.notAfterMs;
    clock.jumpTo(before - 29 * DAY_MS);
    await look(rotating);
    expect([given.length, rotating.notAfterMs > before]).toEqual([1, true]);
  });

  it('leaves the files of its own certificate alone until then', async () => {
    const rotating = await open(false);
    rotating.watch(() => [listener]);
    const kept = await readFile(join(folder, 'tls/ca.pem'), 'utf8');
    await rm(join(folder, 'tls'), { recursive: true });
    await look(rotating);
    expect([given, events.slice(1), kept.length > 0]).toEqual([[], [], true]);
  });
});
