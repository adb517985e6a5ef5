import { isLoopback } from '../config/loopback.ts';
import type { Settings } from '../config/settings.ts';
import { SluiceError } from '../kernel/errors.ts';

/**
 * Refuses to start a node that everybody on a network could use, unless that is said to be intended. The configuration checks
 * it too; this is for settings that were made otherwise.
 *
 * @throws INVALID_CONFIG
 */
export function checkExposure({ auth, quic, tls, http, grpc }: Settings): void {
  if (auth.mode !== 'none' || auth.allowAnonymous) return;
  const open = [quic.listen, tls.listen, http.listen, grpc.listen].find(
    (address) => address && !isLoopback(address),
  );
  if (!open) return;
  throw new SluiceError(
    'INVALID_CONFIG',
    `everybody who reaches ${open.host} could do everything: set auth.mode to required, or listen on 127.0.0.1`,
  );
}
