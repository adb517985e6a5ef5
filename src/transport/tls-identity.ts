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
