import type { Authenticator, Authorizer } from '../broker/ports.ts';
import type { Settings } from '../config/settings.ts';
import type { SecurityLog } from '../gateway/security-log.ts';
import type { Clock } from '../kernel/clock.ts';
import { SluiceError } from '../kernel/errors.ts';
import { isAllowed } from '../security/acl.ts';
import { ANONYMOUS, principalFromCertificate } from '../security/principal.ts';
import type { TokenStore } from '../security/token.ts';
import { authenticateToken, isTokenStillValid } from '../security/token.ts';

/**
 * Who clients are, as configured: by token, else by certificate, else anonymous where that is let in. A token that is shown and
 * wrong is refused also where none is needed.
 */
export function createAuthenticator(
  settings: Pick<Settings, 'auth'>,
  tokens: TokenStore,
  clock: Clock,
): Authenticator {
  const { mode, adminToken } = settings.auth;
  return {
    authenticate({ token, certificate }) {
      if (token !== undefined) return authenticateToken(tokens, token, clock, adminToken);
      if (certificate !== undefined) return principalFromCertificate(certificate);
      if (mode === 'none') return ANONYMOUS;
      throw new SluiceError('UNAUTHENTICATED', 'this broker wants a token or a client certificate');
    },
    isStillValid: (principal) => isTokenStillValid(tokens, principal, clock),
  };
}

/** What principals may do, as configured. @param security told of what was denied */
export function createAuthorizer(
  settings: Pick<Settings, 'auth' | 'acl'>,
  security: Pick<SecurityLog, 'note'>,
): Authorizer {
  const policy = { authentication: settings.auth.mode, rules: settings.acl.rules };
  return {
    allows: (principal, operation, topic) => isAllowed(policy, principal, operation, topic),
    denied: (principal, operation, topic) =>
      security.note({ kind: 'access_denied', principal, operation, topic }),
  };
}
