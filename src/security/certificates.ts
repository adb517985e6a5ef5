import 'reflect-metadata';
import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import * as x509 from '@peculiar/x509';
import type { Clock } from '../kernel/clock.ts';
import { SluiceError } from '../kernel/errors.ts';
import type { Random } from '../kernel/random.ts';
import type { NodeIdentity } from './node-identity.ts';
import { nodeUri } from './node-identity.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
/** Validity of an authority that Sluice makes, days. */
const AUTHORITY_DAYS = 3650;
/** Validity of the certificates it issues, days: the most that common verifiers accept of a server. */
const LEAF_DAYS = 397;
/** Certificates are valid from a little before now, because the verifier's clock may be behind. */
const BACKDATED_MS = 60 * 60 * 1000;

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

/** A certificate and its private key (PKCS #8), both PEM. */
export interface CertifiedKey {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

/** Where certificates take time and serial numbers from. */
export interface IssuePorts {
  readonly clock: Clock;
  readonly random: Random;
}

/** Creates a self-signed certificate authority: ECDSA P-256, valid for ten years, may sign only end certificates. */
export async function createAuthority(commonName: string, ports: IssuePorts): Promise<CertifiedKey> {
  const keys = await generateKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(ports.random),
    name: [{ CN: [commonName] }],
    ...validity(ports.clock, AUTHORITY_DAYS),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificatePem: pem(certificate), privateKeyPem: await exportKey(keys.privateKey) };
}

/**
 * Issues a server certificate, valid for 397 days.
 * @param names DNS names and IP addresses the server is reached at; the first one is also the common name
 */
export async function issueServerCertificate(
  authority: CertifiedKey,
  names: readonly string[],
  ports: IssuePorts,
): Promise<CertifiedKey> {
  return issue(authority, names[0] ?? 'sluice', ports, [
    new x509.ExtendedKeyUsageExtension([SERVER_AUTH]),
    new x509.SubjectAlternativeNameExtension(hostNames(names)),
  ]);
}

/**
 * Issues the certificate with which a node shows the other nodes of its cluster who it is, valid for 397 days. It serves at both ends of
 * a connection; its common name is the node's id and means nothing.
 *
 * @param names DNS names and IP addresses that it holds besides, for clients that look at them; may be empty
 * @throws INVALID_ARGUMENT when cluster or node cannot be named so
 * @see nodeUri
 */
export async function issueNodeCertificate(
  authority: CertifiedKey,
  identity: NodeIdentity,
  names: readonly string[],
  ports: IssuePorts,
): Promise<CertifiedKey> {
  const alternatives = [{ type: 'url' as const, value: nodeUri(identity) }, ...hostNames(names)];
  return issue(authority, identity.nodeId, ports, [
    new x509.ExtendedKeyUsageExtension([SERVER_AUTH, CLIENT_AUTH]),
    new x509.SubjectAlternativeNameExtension(alternatives),
  ]);
}

/**
 * Issues a client certificate, valid for 397 days.
 * @param principal the common name: who the client is to the broker
 */
export async function issueClientCertificate(
  authority: CertifiedKey,
  principal: string,
  ports: IssuePorts,
): Promise<CertifiedKey> {
  return issue(authority, principal, ports, [new x509.ExtendedKeyUsageExtension([CLIENT_AUTH])]);
}

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * Every certificate of a PEM file, in order.
 * @throws INVALID_CONFIG when there is none, or one cannot be read
 */
export function parseCertificates(pem: string): [X509Certificate, ...X509Certificate[]] {
  try {
    const [first, ...others] = (pem.match(PEM_CERTIFICATE) ?? []).map((block) => new X509Certificate(block));
    if (first) return [first, ...others];
  } catch (error) {
    throw new SluiceError('INVALID_CONFIG', 'a certificate cannot be read', { cause: error });
  }
  throw new SluiceError('INVALID_CONFIG', 'there is no certificate in PEM');
}

/** What a caller wants to know of a certificate before using it. */
export interface CertificateSummary {
  /** Milliseconds since 1970; the certificate is not valid at or after it. */
  readonly notAfterMs: number;
  /** DNS names, IP addresses and URIs of the subject, as they were given. */
  readonly names: readonly string[];
}

/** Reads expiry and names from a PEM certificate. Throws what the parser throws when it is none. */
export function summarizeCertificate(certificatePem: string): CertificateSummary {
  const certificate = new x509.X509Certificate(certificatePem);
  const alternatives = certificate.getExtension(x509.SubjectAlternativeNameExtension);
  return {
    notAfterMs: certificate.notAfter.getTime(),
    names: alternatives?.names.toJSON().map((name) => name.value) ?? [],
  };
}

function hostNames(names: readonly string[]): { type: 'dns' | 'ip'; value: string }[] {
  return names.map((value) => ({ type: isIP(value) === 0 ? 'dns' : 'ip', value }));
}

async function issue(
  authority: CertifiedKey,
  commonName: string,
  ports: IssuePorts,
  extensions: x509.Extension[],
): Promise<CertifiedKey> {
  const issuer = new x509.X509Certificate(authority.certificatePem);
  const keys = await generateKeys();
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(ports.random),
    subject: [{ CN: [commonName] }],
    issuer: issuer.subjectName,
    ...validity(ports.clock, LEAF_DAYS),
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: await importKey(authority.privateKeyPem),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
      ...extensions,
    ],
  });
  return { certificatePem: pem(certificate), privateKeyPem: await exportKey(keys.privateKey) };
}

function validity(clock: Clock, days: number): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(clock.now() - BACKDATED_MS), notAfter: new Date(clock.now() + days * DAY_MS) };
}

/** Positive, 16 bytes, unpredictable. @see RFC 5280 section 4.1.2.2 */
function serialNumber(random: Random): string {
  return `01${random.bytes(15).toString('hex')}`;
}

type KeyPair = Awaited<ReturnType<typeof generateKeys>>;

function generateKeys() {
  return crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

async function exportKey(key: KeyPair['privateKey']): Promise<string> {
  return `${x509.PemConverter.encode(await crypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`;
}

function importKey(privateKeyPem: string): Promise<KeyPair['privateKey']> {
  return crypto.subtle.importKey('pkcs8', x509.PemConverter.decodeFirst(privateKeyPem), ALGORITHM, false, [
    'sign',
  ]);
}

function pem(certificate: x509.X509Certificate): string {
  return `${certificate.toString('pem')}\n`;
}
