import type { SecureContextOptions } from 'node:tls';
import { SluiceError } from '../../kernel/errors.ts';
import { parseCertificates } from '../../security/certificates.ts';
import { checkIdentity } from '../tls-identity.ts';
import type { TlsIdentity } from '../transport.ts';

/** What one end shows the other, and whom it believes. */
export interface GrpcTls {
  readonly identity: TlsIdentity;
  /** Authorities of the other end's certificate; at least one, because for Node none means every public one. */
  readonly authoritiesPem: string;
}

/** For a secure context at either end: TLS 1.3, nothing older. @throws INVALID_CONFIG when something cannot be used */
export function secureContextOptions({ identity, authoritiesPem }: GrpcTls): SecureContextOptions {
  checkIdentity(identity);
  return {
    minVersion: 'TLSv1.3',
    cert: identity.certificatePem,
    key: identity.privateKeyPem,
    ca: parseCertificates(authoritiesPem).map((certificate) => certificate.toString()),
  };
}

/** Looks at the certificate of the other end, which the authorities have signed and which is in date; DER. @throws CERTIFICATE_REJECTED */
export type CertificateCheck<Who> = (certificate: Buffer) => Who;

/** Who shows that certificate; undefined: none is shown. @throws CERTIFICATE_REJECTED */
export type CallerCheck<Who> = (certificate: Buffer | undefined) => Who;

/** Outcome of a check as TLS wants it. */
export function refusalOf(
  check: CertificateCheck<unknown>,
  certificate: Buffer | undefined,
): Error | undefined {
  try {
    if (!certificate) throw new SluiceError('CERTIFICATE_REJECTED', 'there is no certificate');
    check(certificate);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}
