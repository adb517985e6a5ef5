import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import type { TlsIdentity } from '../../src/transport/transport.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
type AuthorityKeys = Awaited<ReturnType<typeof makeKeys>>;

const DAY_MS = 24 * 60 * 60 * 1000;

/** What a certificate made by {@link Authority.issue} says. */
export interface IssueOptions {
  /** Common name; default the first of `names`, or `test`. */
  readonly commonName?: string;
  /** DNS names of the subject; default none. */
  readonly names?: readonly string[];
  /** IP addresses of the subject; default none. */
  readonly ips?: readonly string[];
  /** For a client instead of a server; default false. */
  readonly client?: boolean;
  /** Valid from this many days ago; default 1. Negative: not yet valid. */
  readonly notBeforeDaysAgo?: number;
  /** Valid for this many days from now; default 1. Negative: expired. */
  readonly notAfterDays?: number;
}

/** A certificate authority that lives as long as the test. */
export interface Authority {
  /** Certificate of the authority, PEM. */
  readonly certificatePem: string;
  /** A new key with a certificate signed by this authority. */
  issue(options: IssueOptions): Promise<TlsIdentity>;
}

/** Makes a self-signed authority with a key of its own. */
export async function makeAuthority(commonName = 'test authority'): Promise<Authority> {
  const keys = await makeKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: randomSerial(),
    name: `CN=${commonName}`,
    notBefore: new Date(Date.now() - DAY_MS),
    notAfter: new Date(Date.now() + 30 * DAY_MS),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return {
    certificatePem: certificate.toString('pem'),
    issue: (options) => issue(certificate, keys, options),
  };
}

async function issue(
  authority: x509.X509Certificate,
  authorityKeys: AuthorityKeys,
  options: IssueOptions,
): Promise<TlsIdentity> {
  const keys = await makeKeys();
  const alternativeNames: x509.JsonGeneralName[] = [
    ...(options.names ?? []).map((value) => ({ type: 'dns' as const, value })),
    ...(options.ips ?? []).map((value) => ({ type: 'ip' as const, value })),
  ];
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: randomSerial(),
    subject: `CN=${options.commonName ?? options.names?.[0] ?? 'test'}`,
    issuer: authority.subject,
    notBefore: new Date(Date.now() - (options.notBeforeDaysAgo ?? 1) * DAY_MS),
    notAfter: new Date(Date.now() + (options.notAfterDays ?? 1) * DAY_MS),
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: authorityKeys.privateKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([options.client === true ? CLIENT_AUTH : SERVER_AUTH]),
      ...(alternativeNames.length > 0 ? [new x509.SubjectAlternativeNameExtension(alternativeNames)] : []),
    ],
  });
  const privateKey = await crypto.subtle.exportKey('pkcs8', keys.privateKey);
  return {
    certificatePem: certificate.toString('pem'),
    privateKeyPem: x509.PemConverter.encode(privateKey, 'PRIVATE KEY'),
  };
}

function makeKeys() {
  return crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

function randomSerial(): string {
  return `01${Buffer.from(crypto.getRandomValues(new Uint8Array(15))).toString('hex')}`;
}
