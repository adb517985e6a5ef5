import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import type { Clock } from '../../kernel/clock.ts';
import { SluiceError } from '../../kernel/errors.ts';
import type { NativeConnection } from './native.ts';

/**
 * Verifies what BoringSSL leaves open about the server's certificate: the name when it is an IP address, and, when an
 * earlier session was resumed and no certificate was shown again, whether the old one is still valid.
 * The signatures up to the authorities are BoringSSL's work.
 * @param serverName DNS name or IP address that the certificate must carry
 * @returns the certificate, DER
 * @throws CERTIFICATE_REJECTED
 */
export function verifyServer(native: NativeConnection, serverName: string, clock: Clock): Uint8Array {
  const der = native.peerCertChain()?.[0];
  if (der === undefined) throw new SluiceError('CERTIFICATE_REJECTED', 'the server showed no certificate');
  const certificate = new X509Certificate(der);
  const carriesName =
    isIP(serverName) === 0
      ? certificate.checkHost(serverName, { subject: 'never' }) !== undefined
      : certificate.checkIP(serverName) !== undefined;
  if (!carriesName) {
    throw new SluiceError(
      'CERTIFICATE_REJECTED',
      `the server's certificate is for ${certificate.subjectAltName ?? 'no name'}, not for ${serverName}`,
    );
  }
  checkDates(certificate, clock);
  return der;
}

/**
 * Verifies what BoringSSL leaves open about a client's certificate, see {@link verifyServer}.
 * @returns the certificate, DER; undefined when the client showed none
 * @throws CERTIFICATE_REJECTED
 */
export function verifyClient(native: NativeConnection, clock: Clock): Uint8Array | undefined {
  const der = native.peerCertChain()?.[0];
  if (der === undefined) return undefined;
  checkDates(new X509Certificate(der), clock);
  return der;
}

function checkDates(certificate: X509Certificate, clock: Clock): void {
  const now = clock.now();
  if (now < Date.parse(certificate.validFrom) || now > Date.parse(certificate.validTo)) {
    throw new SluiceError(
      'CERTIFICATE_REJECTED',
      `the certificate is valid only from ${certificate.validFrom} to ${certificate.validTo}`,
    );
  }
}
