import type { Settings } from '../config/settings.ts';
import type { Clock } from '../kernel/clock.ts';
import { SluiceError } from '../kernel/errors.ts';
import type { Random } from '../kernel/random.ts';
import { auditRecord } from '../security/audit.ts';
import { parseCertificates, summarizeCertificate } from '../security/certificates.ts';
import { ensureServerIdentity, serverIdentityFiles } from '../security/server-identity.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { TlsIdentity } from '../transport/transport.ts';
import { readNamedFile } from './named-file.ts';

/** Certificates of a node. */
export interface TlsMaterial {
  readonly identity: TlsIdentity;
  /** Authorities of client certificates, PEM; undefined: none are asked for. */
  readonly clientAuthoritiesPem: string | undefined;
  /** File with the node's own authority, for clients to trust; undefined where the certificate was configured. */
  readonly authorityFile: string | undefined;
}

/** Files of certificates. */
export interface TlsSource {
  readonly tls: Pick<Settings['tls'], 'certificateFiles' | 'names' | 'clientCaFile'>;
  readonly dataDir: string;
  /** How the settings call the files. Default: as those of the listeners for clients. */
  readonly named?: { readonly certificate: string; readonly key: string; readonly authorities: string };
}

const NAMED = { certificate: 'tls.certificate', key: 'tls.key', authorities: 'tls.clientCa' };

/** What loading certificates takes. */
export interface TlsPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/**
 * Reads the configured certificates, or makes the node its own.
 * @throws INVALID_CONFIG when a file cannot be read; STORAGE_FAILED when the node's own cannot be kept
 */
export async function loadTlsMaterial(source: TlsSource, ports: TlsPorts): Promise<TlsMaterial> {
  const { tls, named = NAMED } = source;
  const { certificateFiles } = tls;
  const clientAuthoritiesPem = await loadClientAuthorities(source);
  if (certificateFiles === null) return { ...(await ownIdentity(source, ports)), clientAuthoritiesPem };
  const identity = {
    certificatePem: await readNamedFile(named.certificate, certificateFiles.certificate),
    privateKeyPem: await readNamedFile(named.key, certificateFiles.key),
  };
  return { identity, clientAuthoritiesPem, authorityFile: undefined };
}

/**
 * Reads the configured authorities of client certificates; undefined: none are asked for.
 * @throws INVALID_CONFIG when the file cannot be read or holds no usable certificate
 */
export async function loadClientAuthorities({ tls, named = NAMED }: TlsSource): Promise<string | undefined> {
  return tls.clientCaFile === null ? undefined : readAuthorities(named.authorities, tls.clientCaFile);
}

async function ownIdentity(
  { tls, dataDir }: TlsSource,
  { clock, random, log }: TlsPorts,
): Promise<Pick<TlsMaterial, 'identity' | 'authorityFile'>> {
  const { server, created } = await ensureServerIdentity(dataDir, tls.names, clock, random);
  if (created !== 'nothing') {
    const { names, notAfterMs } = summarizeCertificate(server.certificatePem);
    const { level, record } = auditRecord({ kind: 'certificate_issued', names, notAfterMs });
    const { evt, ...fields } = record;
    log[level](evt, fields);
  }
  return { identity: server, authorityFile: serverIdentityFiles(dataDir).authorityCertificate };
}

/**
 * Makes sure that a certificate is valid now.
 * @throws INVALID_CONFIG
 */
export function checkInDate({ certificatePem }: TlsIdentity, clock: Clock): void {
  const { validFromDate, validToDate } = parseCertificates(certificatePem)[0];
  const now = clock.now();
  if (now >= validFromDate.getTime() && now <= validToDate.getTime()) return;
  const range = `from ${validFromDate.toISOString()} to ${validToDate.toISOString()}`;
  throw new SluiceError('INVALID_CONFIG', `the certificate is valid only ${range}`);
}

/** An empty file would not mean nobody: Node takes it for every public authority. So there must be a certificate in it. */
async function readAuthorities(setting: string, path: string): Promise<string> {
  const pem = await readNamedFile(setting, path);
  try {
    parseCertificates(pem);
  } catch (error) {
    throw new SluiceError('INVALID_CONFIG', `${setting}: ${path} holds no usable certificates`, {
      cause: error,
    });
  }
  return pem;
}
