import { createPrivateKey, X509Certificate } from 'node:crypto';
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../kernel/clock.ts';
import { SluiceError } from '../kernel/errors.ts';
import type { Random } from '../kernel/random.ts';
import type { CertifiedKey, IssuePorts } from './certificates.ts';
import { createAuthority, issueServerCertificate, summarizeCertificate } from './certificates.ts';

/** How long before its end a certificate that the node made is issued again, milliseconds. */
export const RENEW_BEFORE_MS = 30 * 24 * 60 * 60 * 1000;

/**
 * Files of a node's own authority, in `<data>/tls/` (mode 0700):
 *
 *     ca.pem          certificate of the authority: what clients trust
 *     ca-key.pem      its key, mode 0600
 *     server.pem      certificate of the node, signed by the authority
 *     server-key.pem  its key, mode 0600
 */
export interface ServerIdentityFiles {
  readonly directory: string;
  readonly authorityCertificate: string;
  readonly authorityKey: string;
  readonly serverCertificate: string;
  readonly serverKey: string;
}

/** Where a node with this data directory keeps its own certificates; a local client trusts `authorityCertificate`. */
export function serverIdentityFiles(dataDir: string): ServerIdentityFiles {
  const directory = join(dataDir, 'tls');
  return {
    directory,
    authorityCertificate: join(directory, 'ca.pem'),
    authorityKey: join(directory, 'ca-key.pem'),
    serverCertificate: join(directory, 'server.pem'),
    serverKey: join(directory, 'server-key.pem'),
  };
}

/** A node's own certificate and the authority that signed it. */
export interface ServerIdentity {
  readonly authority: CertifiedKey;
  readonly server: CertifiedKey;
  /** What had to be made: nothing, a new server certificate, or the authority too. */
  readonly created: 'nothing' | 'server' | 'authority';
}

/**
 * Makes sure that a node without configured certificates has some: creates an authority and a server certificate on first
 * use and keeps them. The server certificate is issued again when it ends within 30 days, lacks one of `names`, or cannot be
 * read; the authority is kept as long as it is valid, because clients trust it.
 *
 * @param names DNS names and IP addresses that clients use
 * @throws STORAGE_FAILED when the files cannot be read or written
 * @throws INVALID_CONFIG when the authority's files are damaged: a new one is not made silently, because no client trusts it
 */
export async function ensureServerIdentity(
  dataDir: string,
  names: readonly string[],
  clock: Clock,
  random: Random,
): Promise<ServerIdentity> {
  const files = serverIdentityFiles(dataDir);
  const ports: IssuePorts = { clock, random };
  try {
    await mkdir(files.directory, { recursive: true, mode: 0o700 });
    await chmod(files.directory, 0o700);
    const found = await readAuthority(files, clock);
    const authority = found ?? (await makeAuthority(files, ports));
    const existing = found ? await readServerPair(files) : undefined;
    if (existing && isUsable(existing, authority, names, clock))
      return { authority, server: existing, created: 'nothing' };
    const server = await issueServerCertificate(authority, names, ports);
    await writePair(files.serverCertificate, files.serverKey, server);
    return { authority, server, created: found ? 'server' : 'authority' };
  } catch (error) {
    if (error instanceof SluiceError) throw error;
    throw new SluiceError('STORAGE_FAILED', `certificates in ${files.directory} cannot be kept`, {
      cause: error,
    });
  }
}

async function makeAuthority(files: ServerIdentityFiles, ports: IssuePorts): Promise<CertifiedKey> {
  const name = `Sluice local authority ${ports.random.bytes(4).toString('hex')}`;
  const authority = await createAuthority(name, ports);
  await writePair(files.authorityCertificate, files.authorityKey, authority);
  return authority;
}

/** The authority on disk; undefined when there is none or it is about to end, so that a new one must be made. */
async function readAuthority(files: ServerIdentityFiles, clock: Clock): Promise<CertifiedKey | undefined> {
  try {
    const authority = await readPair(files.authorityCertificate, files.authorityKey);
    if (!authority && (await readServerPair(files)))
      throw new Error('it has issued a certificate, and is gone');
    if (!authority) return undefined;
    createPrivateKey(authority.privateKeyPem);
    const { notAfterMs } = summarizeCertificate(authority.certificatePem);
    return notAfterMs - RENEW_BEFORE_MS > clock.now() ? authority : undefined;
  } catch (error) {
    const advice = `restore both, or delete ${files.directory} to make a new authority that clients must be given`;
    throw new SluiceError(
      'INVALID_CONFIG',
      `ca.pem and ca-key.pem of ${files.directory} are unusable: ${advice}`,
      {
        cause: error,
      },
    );
  }
}

/** The node's pair, if there is a whole one. */
function readServerPair(files: ServerIdentityFiles): Promise<CertifiedKey | undefined> {
  return readPair(files.serverCertificate, files.serverKey).catch(() => undefined);
}

/** Also checks that key and authority belong to the certificate: a crash may have left a new key with an old certificate. */
function isUsable(
  pair: CertifiedKey,
  authority: CertifiedKey,
  names: readonly string[],
  clock: Clock,
): boolean {
  try {
    const summary = summarizeCertificate(pair.certificatePem);
    if (summary.notAfterMs - RENEW_BEFORE_MS <= clock.now()) return false;
    if (!names.every((name) => summary.names.includes(name))) return false;
    const certificate = new X509Certificate(pair.certificatePem);
    return (
      certificate.checkPrivateKey(createPrivateKey(pair.privateKeyPem)) &&
      certificate.verify(new X509Certificate(authority.certificatePem).publicKey)
    );
  } catch {
    return false; // unreadable: issued again
  }
}

/** Certificate and key; undefined without a certificate. @throws ENOENT when only the key is missing */
async function readPair(certificate: string, key: string): Promise<CertifiedKey | undefined> {
  const certificatePem = await readFile(certificate, 'utf8').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  });
  if (certificatePem === undefined) return undefined;
  return { certificatePem, privateKeyPem: await readFile(key, 'utf8') };
}

/** Key first, each file replaced in one step: a crash leaves no certificate that lacks its key. */
async function writePair(certificate: string, key: string, pair: CertifiedKey): Promise<void> {
  await replaceFile(key, pair.privateKeyPem, 0o600);
  await replaceFile(certificate, pair.certificatePem, 0o644);
}

async function replaceFile(path: string, content: string, mode: number): Promise<void> {
  const draft = `${path}.new`;
  await writeFile(draft, content, { mode });
  await chmod(draft, mode);
  await rename(draft, path);
}
