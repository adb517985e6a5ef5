import { X509Certificate } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { systemRandom } from '../../src/kernel/random.ts';
import { systemClock } from '../../src/kernel/system-clock.ts';
import { auditRecord } from '../../src/security/audit.ts';
import { createAuthority, issueClientCertificate } from '../../src/security/certificates.ts';
import { ANONYMOUS, principalFromCertificate } from '../../src/security/principal.ts';

const ports = { clock: systemClock, random: systemRandom };

describe('principal', () => {
  it('takes its name from the common name of the certificate', async () => {
    const authority = await createAuthority('authority', ports);
    const { certificatePem } = await issueClientCertificate(authority, 'alice', ports);
    const principal = principalFromCertificate(new X509Certificate(certificatePem).raw);
    expect(principal).toEqual({ name: 'alice', kind: 'certificate', admin: false, rights: [] });
  });

  it('is not found in bytes that are no certificate', () => {
    expect(() => principalFromCertificate(Buffer.from('x'))).toThrow(
      expect.objectContaining({ code: 'UNAUTHENTICATED' }) as Error,
    );
  });

  it('appears in the audit log by name and kind only', () => {
    const rights = [{ topic: 'secret-topic', operations: ['publish' as const] }];
    const event = auditRecord({
      kind: 'access_denied',
      principal: { ...ANONYMOUS, rights, remoteAddress: '127.0.0.1:9' },
      operation: 'publish',
      topic: 'orders',
    });
    expect(event).toEqual({
      level: 'warn',
      record: {
        evt: 'security.access_denied',
        principal: 'anonymous',
        kind: 'anonymous',
        operation: 'publish',
        topic: 'orders',
        remoteAddress: '127.0.0.1:9',
      },
    });
  });
});
