import { X509Certificate, createPrivateKey } from 'node:crypto';
import { SluiceError } from '../kernel/errors.ts';
import type { TlsIdentity } from './transport.ts';

/** Makes sure that a certificate and its key can be read and belong together. @throws INVALID_CONFIG */
export function checkIdentity(identity: TlsIdentity): void {
  let belongs: boolean;
  try {
    belongs = new X509Certificate(identity.certificatePem).checkPrivateKey(
      createPrivateKey(identity.privateKeyPem),
    );
  } catch (cause) {
    throw new SluiceError('INVALID_CONFIG', `certificate or private key cannot be read: ${String(cause)}`, {
      cause,
    });
  }
  if (!belongs) throw new SluiceError('INVALID_CONFIG', 'the private key does not belong to the certificate');
}

/** A server's side of TLS, for Node. */
export interface ServerContext {
  readonly minVersion: 'TLSv1.3';
  readonly cert: string;
  readonly key: string;
  readonly ca?: string;
}

/**
 * What a server shows and whom it believes. TLS 1.3, nothing older.
 *
 * @param security authorities of client certificates, PEM; undefined: none are asked for
 * @throws INVALID_CONFIG when the certificate cannot be used: Node takes an empty one for none, and a mismatched key until somebody connects
 */
export function serverContext({
  identity,
  clientAuthoritiesPem,
}: {
  readonly identity: TlsIdentity;
  readonly clientAuthoritiesPem?: string | undefined;
}): ServerContext {
  checkIdentity(identity);
  return {
    minVersion: 'TLSv1.3',
    cert: identity.certificatePem,
    key: identity.privateKeyPem,
    ...(clientAuthoritiesPem === undefined ? {} : { ca: clientAuthoritiesPem }),
  };
}
