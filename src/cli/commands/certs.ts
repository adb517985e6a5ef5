import { X509Certificate } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { SluiceError } from '../../kernel/errors.ts';
import type { CertifiedKey, IssuePorts } from '../../security/certificates.ts';
import {
  createAuthority,
  issueClientCertificate,
  issueNodeCertificate,
  issueServerCertificate,
} from '../../security/certificates.ts';
import type { OutputFlags } from '../declare/declare-options.ts';
import { facts, timestamp } from '../format.ts';
import type { Terminal } from '../terminal.ts';

/** Name of the cluster unless configured; as `cluster.name`. */
const DEFAULT_CLUSTER = 'main';

/** Options of `sluice certs init`. */
export interface CertsInitFlags extends OutputFlags {
  readonly dir: string;
  readonly name: string;
}

/** Options of `sluice certs issue`. */
export interface CertsIssueFlags extends OutputFlags {
  readonly dir: string;
  readonly server?: true;
  readonly client?: true;
  readonly node?: true;
  readonly cluster?: string;
  readonly host?: readonly string[];
}

/** Makes an authority: `ca.pem` and `ca-key.pem` in `--dir`. @throws INVALID_ARGUMENT when there is one already */
export async function initCerts(flags: CertsInitFlags, terminal: Terminal): Promise<void> {
  const folder = resolve(terminal.folder, flags.dir);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const files = await writePair(folder, 'ca', await createAuthority(flags.name, ports(terminal)));
  report(terminal, flags, { certificate: files.certificate, key: files.key });
}

/** Issues a certificate signed by the authority in `--dir`: `NAME.pem` and `NAME-key.pem` beside it. */
export async function issueCert(name: string, flags: CertsIssueFlags, terminal: Terminal): Promise<void> {
  checkIssueFlags(name, flags);
  const folder = resolve(terminal.folder, flags.dir);
  const pair = await issueFor(await readAuthority(folder), name, flags, ports(terminal));
  const files = await writePair(folder, name, pair);
  report(terminal, flags, { certificate: files.certificate, key: files.key, ca: join(folder, 'ca.pem') });
}

function checkIssueFlags(name: string, { server, client, node, cluster, host }: CertsIssueFlags): void {
  if ([server, client, node].filter((purpose) => purpose === true).length !== 1) {
    throw new SluiceError(
      'INVALID_ARGUMENT',
      'Say what the certificate is for: --server, --client or --node.',
    );
  }
  if (!/^[A-Za-z0-9][A-Za-z0-9._@-]*$/.test(name) || name === 'ca') {
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `'${name}' cannot be a certificate's name: use letters, digits and . _ @ -`,
    );
  }
  if (client === true && host !== undefined) {
    throw new SluiceError(
      'INVALID_ARGUMENT',
      '--host belongs to server and node certificates; a client is known by its name.',
    );
  }
  if (node !== true && cluster !== undefined) {
    throw new SluiceError('INVALID_ARGUMENT', '--cluster belongs to node certificates.');
  }
}

function issueFor(
  authority: CertifiedKey,
  name: string,
  { server, node, cluster = DEFAULT_CLUSTER, host }: CertsIssueFlags,
  issuing: IssuePorts,
): Promise<CertifiedKey> {
  if (server === true) return issueServerCertificate(authority, host ?? [name], issuing);
  if (node !== true) return issueClientCertificate(authority, name, issuing);
  return issueNodeCertificate(authority, { cluster, nodeId: name }, host ?? [], issuing);
}

/**
 * Prints who certificates are for, who signed them and until when they hold. Of private keys among the files it says only that they are, on stderr.
 *
 * @throws INVALID_ARGUMENT for a file that is neither, or when there are only keys
 */
export async function showCerts(
  paths: readonly string[],
  flags: OutputFlags,
  terminal: Terminal,
): Promise<void> {
  const shown = [];
  for (const path of paths) {
    const pem = await read(resolve(terminal.folder, path));
    if (isKeyAlone(pem)) {
      terminal.stderr.line(`sluice: ${path} is a private key; it is left out`);
      continue;
    }
    const certificate = parse(path, pem);
    shown.push({
      file: path,
      subject: certificate.subject.replaceAll('\n', ', '),
      issuer: certificate.issuer.replaceAll('\n', ', '),
      names: certificate.subjectAltName?.replaceAll(/(DNS|IP Address|URI):/g, '').split(', ') ?? [],
      authority: certificate.ca,
      notBefore: timestamp(certificate.validFromDate.getTime()),
      notAfter: timestamp(certificate.validToDate.getTime()),
      expired: certificate.validToDate.getTime() <= terminal.clock.now(),
      sha256: certificate.fingerprint256,
    });
  }
  if (shown.length === 0) {
    throw new SluiceError('INVALID_ARGUMENT', 'There is no certificate to show in a private key.');
  }
  if (flags.output === 'json') return void terminal.stdout.line(JSON.stringify(shown));
  for (const one of shown) {
    const { names, authority, expired, ...rest } = one;
    const until = expired ? `${rest.notAfter} (expired)` : rest.notAfter;
    const rows = Object.entries({
      ...rest,
      notAfter: until,
      kind: authority ? 'authority' : 'end certificate',
      names: names.join(', '),
    });
    terminal.stdout.line(`${facts(rows)}\n`);
  }
}

function ports(terminal: Terminal): IssuePorts {
  return { clock: terminal.clock, random: terminal.random };
}

async function readAuthority(folder: string): Promise<CertifiedKey> {
  const certificatePem = await read(join(folder, 'ca.pem'));
  parse(join(folder, 'ca.pem'), certificatePem);
  return { certificatePem, privateKeyPem: await read(join(folder, 'ca-key.pem')) };
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'does not exist' : 'cannot be read';
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `${path} ${why}. Make an authority with: sluice certs init --dir DIR`,
      { cause: error },
    );
  }
}

function parse(path: string, pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (error) {
    throw new SluiceError('INVALID_ARGUMENT', `${path} is not a PEM certificate.`, { cause: error });
  }
}

function isKeyAlone(pem: string): boolean {
  return /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem) && !pem.includes('-----BEGIN CERTIFICATE-----');
}

/** Never replaces a file: an authority that was overwritten takes every certificate it signed with it. */
async function writePair(
  folder: string,
  name: string,
  pair: CertifiedKey,
): Promise<{ certificate: string; key: string }> {
  const files = { certificate: join(folder, `${name}.pem`), key: join(folder, `${name}-key.pem`) };
  try {
    await writeFile(files.key, pair.privateKeyPem, { mode: 0o600, flag: 'wx' });
    await writeFile(files.certificate, pair.certificatePem, { mode: 0o644, flag: 'wx' });
  } catch (error) {
    const exists = (error as NodeJS.ErrnoException).code === 'EEXIST';
    if (exists)
      throw new SluiceError(
        'INVALID_ARGUMENT',
        `${files.certificate} or its key exists already. Delete it or choose another name.`,
      );
    throw new SluiceError('STORAGE_FAILED', `${files.certificate} cannot be written.`, { cause: error });
  }
  return files;
}

function report(terminal: Terminal, flags: OutputFlags, files: Record<string, string>): void {
  terminal.stdout.line(flags.output === 'json' ? JSON.stringify(files) : facts(Object.entries(files)));
}
