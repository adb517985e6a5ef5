import { X509Certificate } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Clock } from '../../src/kernel/clock.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import type { CertifiedKey } from '../../src/security/certificates.ts';
import {
  createAuthority,
  issueClientCertificate,
  issueServerCertificate,
  summarizeCertificate,
} from '../../src/security/certificates.ts';

const NOW_MS = Date.UTC(2026, 0, 1);
const DAY_MS = 24 * 60 * 60 * 1000;
const clock: Clock = {
  now: () => NOW_MS,
  monotonicMs: () => 0,
  setTimer: () => ({ cancel: () => undefined }),
};
const ports = { clock, random: systemRandom };

describe('certificates', () => {
  let authority: CertifiedKey;
  let server: X509Certificate;
  beforeAll(async () => {
    authority = await createAuthority('authority', ports);
    const issued = await issueServerCertificate(authority, ['broker.example', '127.0.0.1', '::1'], ports);
    server = new X509Certificate(issued.certificatePem);
  });

  it('signs server certificates with the authority’s key', () => {
    const ca = new X509Certificate(authority.certificatePem);
    expect([ca.ca, server.ca, server.checkIssued(ca), server.verify(ca.publicKey)]).toEqual([
      true,
      false,
      true,
      true,
    ]);
  });

  it('names the server by DNS name and by address', () => {
    const named = [server.checkHost('broker.example'), server.checkIP('127.0.0.1'), server.checkIP('::1')];
    expect(named).toEqual(['broker.example', '127.0.0.1', '::1']);
  });

  it('issues for 397 days and makes authorities for ten years', () => {
    const days = (pem: string): number => (summarizeCertificate(pem).notAfterMs - NOW_MS) / DAY_MS;
    expect([days(server.toString()), days(authority.certificatePem)]).toEqual([397, 3650]);
  });

  it('lets a server certificate not serve as a client’s, and the other way round', async () => {
    const client = await issueClientCertificate(authority, 'alice', ports);
    expect([server.keyUsage, new X509Certificate(client.certificatePem).keyUsage]).toEqual([
      ['1.3.6.1.5.5.7.3.1'],
      ['1.3.6.1.5.5.7.3.2'],
    ]);
  });

  it('keeps a common name that looks like several fields in one field', async () => {
    const client = await issueClientCertificate(authority, 'alice, O=admins', ports);
    expect(new X509Certificate(client.certificatePem).toLegacyObject().subject).toEqual({
      CN: 'alice, O=admins',
    });
  });

  it('gives every certificate its own serial number', async () => {
    const other = await issueServerCertificate(authority, ['broker.example'], ports);
    expect(new X509Certificate(other.certificatePem).serialNumber).not.toBe(server.serialNumber);
  });
});
