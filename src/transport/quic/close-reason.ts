import { ERRORS } from '../../kernel/errors.ts';
import type { ErrorCode } from '../../kernel/errors.ts';
import type { CloseReason } from '../transport.ts';
import type { NativeConnection } from './native.ts';

/** Range of transport error codes that carry a TLS alert; see RFC 9001 section 4.8. */
const TLS_ALERT_FIRST = 0x100;
const TLS_ALERT_LAST = 0x1ff;
/**
 * TLS alerts about certificates: bad_certificate to unknown_ca, access_denied, decrypt_error (a signature that is wrong),
 * certificate_required; RFC 8446 section 6.
 */
const CERTIFICATE_ALERTS: ReadonlySet<number> = new Set([42, 43, 44, 45, 46, 48, 49, 51, 116]);
const NO_APPLICATION_PROTOCOL = 120;
/** What the commonest of them say, for people; OpenSSL and quiche give a number only. */
const ALERT_TEXTS: ReadonlyMap<number, string> = new Map([
  [42, 'the certificate is not good, or for another name'],
  [45, 'the certificate has expired'],
  [46, 'the certificate is not good'],
  [48, 'an authority that is not trusted has issued the certificate'],
  [51, 'the signature is wrong'],
  [116, 'a client certificate is required'],
  [NO_APPLICATION_PROTOCOL, 'the peer speaks another protocol'],
]);
const CONNECTION_REFUSED = 2;

/** Why quiche says a connection ended, once it drains or is closed. @param established whether it had ever been usable */
export function reasonOf(native: NativeConnection, established: boolean): CloseReason {
  const byPeer = native.peerError();
  if (byPeer !== null) {
    const reason = Buffer.from(byPeer.reason).toString();
    if (byPeer.isApp) return { errorCode: byPeer.errorCode, reason, by: 'peer' };
    return transportReason(byPeer.errorCode, reason || 'the peer ended the connection', established);
  }
  const byThis = native.localError();
  if (byThis !== null)
    return transportReason(byThis.errorCode, Buffer.from(byThis.reason).toString(), established);
  if (native.isTimedOut()) {
    return { errorCode: ERRORS.TIMEOUT.wire, reason: 'nothing was heard from the peer', by: 'transport' };
  }
  // Only a stateless reset ends a connection without any of the above.
  const reason = established
    ? 'the peer has restarted and does not know this connection'
    : 'the connection was lost';
  return { errorCode: ERRORS.UNAVAILABLE.wire, reason, by: 'transport' };
}

function transportReason(code: number, detail: string, established: boolean): CloseReason {
  const known = detail || ALERT_TEXTS.get(code - TLS_ALERT_FIRST);
  const number = `QUIC error 0x${code.toString(16)}`;
  const text = known === undefined ? number : `${known} (${number})`;
  return { errorCode: ERRORS[transportCode(code, established)].wire, reason: text, by: 'transport' };
}

function transportCode(code: number, established: boolean): ErrorCode {
  if (code >= TLS_ALERT_FIRST && code <= TLS_ALERT_LAST) {
    const alert = code - TLS_ALERT_FIRST;
    if (alert === NO_APPLICATION_PROTOCOL) return 'VERSION_MISMATCH';
    return CERTIFICATE_ALERTS.has(alert) ? 'CERTIFICATE_REJECTED' : 'CONNECT_FAILED';
  }
  if (code === CONNECTION_REFUSED) return 'CONNECT_FAILED';
  return established ? 'PROTOCOL_ERROR' : 'CONNECT_FAILED';
}
