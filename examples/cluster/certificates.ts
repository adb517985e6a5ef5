import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemRandom } from '../../src/kernel/random.ts';
import { systemClock } from '../../src/kernel/system-clock.ts';
import type { CertifiedKey } from '../../src/security/certificates.ts';
import {
  createAuthority,
  issueNodeCertificate,
  issueServerCertificate,
} from '../../src/security/certificates.ts';

const PORTS = { clock: systemClock, random: systemRandom };
const LOOPBACK = ['localhost', '127.0.0.1', '::1'];

/** PEM files of one certificate. */
interface PairFiles {
  readonly certificate: string;
  readonly key: string;
}

/**
 * Certificates of a cluster on this machine, in one folder: an authority that clients trust, another one for nodes among themselves, and
 * for each node a certificate of both. What is there already is used again.
 */
export class ClusterCertificates {
  /** Clients trust it. */
  readonly clientAuthority: string;
  /** Nodes trust it among themselves. */
  readonly peerAuthority: string;
  readonly #folder: string;
  readonly #cluster: string;

  private constructor(folder: string, cluster: string) {
    this.#folder = folder;
    this.#cluster = cluster;
    this.clientAuthority = this.#files('ca').certificate;
    this.peerAuthority = this.#files('peer-ca').certificate;
  }

  /** @param cluster name of the cluster */
  static async open(folder: string, cluster: string): Promise<ClusterCertificates> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const certificates = new ClusterCertificates(folder, cluster);
    await certificates.#ensure('ca', () => createAuthority('Sluice, for clients', PORTS));
    await certificates.#ensure('peer-ca', () => createAuthority('Sluice, between nodes', PORTS));
    return certificates;
  }

  /** The settings of a node that name its certificates, as environment. */
  async environmentOf(nodeId: string): Promise<Record<string, string>> {
    const server = await this.#ensure(nodeId, async () =>
      issueServerCertificate(await this.#read('ca'), LOOPBACK, PORTS),
    );
    const peer = await this.#ensure(`${nodeId}-peer`, async () =>
      issueNodeCertificate(await this.#read('peer-ca'), { cluster: this.#cluster, nodeId }, LOOPBACK, PORTS),
    );
    return {
      SLUICE_TLS_CERTIFICATE: server.certificate,
      SLUICE_TLS_KEY: server.key,
      SLUICE_PEER_TLS_CERTIFICATE: peer.certificate,
      SLUICE_PEER_TLS_KEY: peer.key,
      SLUICE_PEER_TLS_CA: this.peerAuthority,
    };
  }

  async #ensure(name: string, make: () => Promise<CertifiedKey>): Promise<PairFiles> {
    const files = this.#files(name);
    if (existsSync(files.certificate)) return files;
    const { certificatePem, privateKeyPem } = await make();
    await writeFile(files.key, privateKeyPem, { mode: 0o600 });
    await writeFile(files.certificate, certificatePem);
    return files;
  }

  async #read(name: string): Promise<CertifiedKey> {
    const { certificate, key } = this.#files(name);
    return {
      certificatePem: await readFile(certificate, 'utf8'),
      privateKeyPem: await readFile(key, 'utf8'),
    };
  }

  #files(name: string): PairFiles {
    return { certificate: join(this.#folder, `${name}.pem`), key: join(this.#folder, `${name}-key.pem`) };
  }
}
