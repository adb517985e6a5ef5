import type { TLSSocket } from 'node:tls';
import type { Clock } from '../../kernel/clock.ts';

/**
 * Why a client is not let in because of its certificate: one is required and none was shown, it does not verify, or, where an
 * earlier session was resumed and nothing was verified again, it has expired since. A certificate that is optional must be
 * right too.
 *
 * @returns for people; undefined when the client is let in
 */
export function clientRefusal(socket: TLSSocket, required: boolean, clock: Clock): string | undefined {
  const certificate = socket.getPeerX509Certificate();
  if (!certificate) return required ? 'a client certificate is required' : undefined;
  if (!socket.authorized) {
    return `the client certificate does not verify: ${String(socket.authorizationError)}`;
  }
  const now = clock.now();
  if (now >= certificate.validFromDate.getTime() && now <= certificate.validToDate.getTime())
    return undefined;
  return `the client certificate is valid only from ${certificate.validFrom} to ${certificate.validTo}`;
}
