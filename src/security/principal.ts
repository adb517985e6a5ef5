import { X509Certificate } from 'node:crypto';
import { SluiceError } from '../kernel/errors.ts';

/** What a principal may do to a topic. `admin` includes creating, changing and deleting it. */
export type Operation = 'publish' | 'subscribe' | 'admin';

/** Every operation, in the order in which they are shown. */
export const OPERATIONS = ['publish', 'subscribe', 'admin'] as const satisfies readonly Operation[];

/** Operations on the topics whose names match a pattern (`*` is any run of characters). */
export interface Right {
  readonly topic: string;
  readonly operations: readonly Operation[];
}

/** Who a connection or a request acts for. */
export interface Principal {
  /** What ACL rules name: `anonymous`, the common name of a certificate, the name of a token. */
  readonly name: string;
  readonly kind: 'anonymous' | 'certificate' | 'token';
  /** May do everything, whatever the rules say. */
  readonly admin: boolean;
  /** Rights the credential itself carries, besides those that rules grant to the name. */
  readonly rights: readonly Right[];
  /** Id of the token it showed; undefined where that cannot be revoked and does not expire. */
  readonly tokenId?: string;
  /** `host:port` it showed its credential from, for the log; undefined where nobody showed any. */
  readonly remoteAddress?: string;
}

/** The principal of a connection that showed no credential. */
export const ANONYMOUS: Principal = Object.freeze({
  name: 'anonymous',
  kind: 'anonymous',
  admin: false,
  rights: [],
});

/**
 * The principal of a client certificate: its subject's common name.
 * @param der the certificate, verified by the transport
 * @throws UNAUTHENTICATED when it has no common name, or several
 */
export function principalFromCertificate(der: Uint8Array): Principal {
  const name = commonName(der);
  if (typeof name !== 'string' || name.length === 0) {
    throw new SluiceError(
      'UNAUTHENTICATED',
      'the client certificate needs exactly one common name in its subject',
    );
  }
  return { name, kind: 'certificate', admin: false, rights: [] };
}

function commonName(der: Uint8Array): unknown {
  try {
    return (new X509Certificate(der).toLegacyObject().subject as { CN?: unknown } | undefined)?.CN;
  } catch (error) {
    throw new SluiceError('UNAUTHENTICATED', 'the client certificate cannot be read', { cause: error });
  }
}
