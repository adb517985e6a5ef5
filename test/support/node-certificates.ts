import { systemRandom } from '../../src/kernel/random.ts';
import { systemClock } from '../../src/kernel/system-clock.ts';
import type { CertifiedKey } from '../../src/security/certificates.ts';
import { createAuthority, issueNodeCertificate } from '../../src/security/certificates.ts';
import type { GrpcTls } from '../../src/transport/grpc/grpc-tls.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

/** What a node of {@link NodeAuthority} may differ in. */
export interface NodeCertificateOptions {
  /** Default `main`. */
  readonly cluster?: string;
  /** Issued so long ago; a certificate holds for 397 days. */
  readonly issuedDaysAgo?: number;
}

/** An authority that signs certificates of nodes. */
export class NodeAuthority {
  readonly #pair: CertifiedKey;

  private constructor(pair: CertifiedKey) {
    this.#pair = pair;
  }

  static async create(): Promise<NodeAuthority> {
    return new NodeAuthority(await createAuthority('nodes', { clock: systemClock, random: systemRandom }));
  }

  get certificatePem(): string {
    return this.#pair.certificatePem;
  }

  /** What a node shows, and that it believes this authority. */
  async tls(nodeId: string, options: NodeCertificateOptions = {}): Promise<GrpcTls> {
    const { cluster = 'main', issuedDaysAgo = 0 } = options;
    const clock = { ...systemClock, now: () => systemClock.now() - issuedDaysAgo * DAY_MS };
    const ports = { clock, random: systemRandom };
    const identity = await issueNodeCertificate(this.#pair, { cluster, nodeId }, [], ports);
    return { identity, authoritiesPem: this.#pair.certificatePem };
  }
}
