import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { X509Certificate } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { systemRandom } from '../../src/kernel/random.ts';
import { systemClock } from '../../src/kernel/system-clock.ts';
import type { CertifiedKey } from '../../src/security/certificates.ts';
import { createAuthority, issueNodeCertificate } from '../../src/security/certificates.ts';
import { checkNodeIdentity, nodeUri, readNodeIdentity } from '../../src/security/node-identity.ts';

const ports = { clock: systemClock, random: systemRandom };
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const rejected = expect.objectContaining({ code: 'CERTIFICATE_REJECTED' }) as Error;

/** A certificate that holds these names, whoever signed it. */
async function naming(...names: x509.JsonGeneralName[]): Promise<string> {
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=sluice://main/node/n1',
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)],
  });
  return certificate.toString('pem');
}

describe('the node that a certificate speaks for', () => {
  let authority: CertifiedKey;
  let issued: X509Certificate;
  beforeAll(async () => {
    authority = await createAuthority('nodes', ports);
    const identity = { cluster: 'main', nodeId: 'node-1.a_b' };
    issued = new X509Certificate(
      (await issueNodeCertificate(authority, identity, ['n1.example', '10.0.0.5'], ports)).certificatePem,
    );
  });

  it('stands in a URI, and the certificate serves at both ends', () => {
    expect(issued.subjectAltName).toBe(
      'URI:sluice://main/node/node-1.a_b, DNS:n1.example, IP Address:10.0.0.5',
    );
    expect(issued.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
  });

  it('is read from DER and from PEM', () => {
    const expected = { cluster: 'main', nodeId: 'node-1.a_b' };
    expect([readNodeIdentity(issued.raw), readNodeIdentity(issued.toString())]).toEqual([expected, expected]);
  });

  it.each<[string, x509.JsonGeneralName[]]>([
    ['no names but a common name like a node’s', []],
    ['a DNS name like a node’s', [{ type: 'dns', value: 'sluice://main/node/n1' }]],
    ['another URI', [{ type: 'url', value: 'spiffe://main/node/n1' }]],
    ['a path that goes on', [{ type: 'url', value: 'sluice://main/node/n1/x' }]],
    ['no id', [{ type: 'url', value: 'sluice://main/node/' }]],
    ['an escaped id', [{ type: 'url', value: 'sluice://main/node/n%31' }]],
    ['a line break in the id', [{ type: 'url', value: 'sluice://main/node/n1\n' }]],
    ['another case', [{ type: 'url', value: 'SLUICE://main/node/n1' }]],
    [
      'two nodes',
      [
        { type: 'url', value: 'sluice://main/node/n1' },
        { type: 'url', value: 'sluice://main/node/n2' },
      ],
    ],
  ])('is nobody with %s', async (_, names) => {
    const certificate = await naming(...names);
    expect(() => readNodeIdentity(certificate)).toThrow(rejected);
  });

  it('is nobody when the certificate cannot be read', () => {
    expect(() => readNodeIdentity(Buffer.from('no certificate'))).toThrow(rejected);
  });

  it('has to be of the cluster, and the one that is meant', () => {
    const check = (cluster: string, nodeId?: string) => () =>
      checkNodeIdentity(issued.raw, { cluster, nodeId });
    expect(check('main')().nodeId).toBe('node-1.a_b');
    expect(check('main', 'node-1.a_b')().nodeId).toBe('node-1.a_b');
    expect(check('Main')).toThrow(rejected);
    expect(check('main', 'node-1')).toThrow(rejected);
  });

  it.each(['', 'a/b', 'a b', '-a', 'x'.repeat(65)])('cannot be called %j', (name) => {
    const refused = expect.objectContaining({ code: 'INVALID_ARGUMENT' }) as Error;
    expect(() => nodeUri({ cluster: name, nodeId: 'n' })).toThrow(refused);
    expect(() => nodeUri({ cluster: 'c', nodeId: name })).toThrow(refused);
  });
});
