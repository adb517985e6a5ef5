import { createHash } from 'node:crypto';
import type { ConnectOptions } from '../transport.ts';

const MAX_SESSIONS = 256;

/**
 * TLS sessions of servers connected to before, least recently used first. A resumed handshake skips the certificates, so a
 * session is only used again with the very same server, name, authorities and own identity.
 */
export class SessionCache {
  readonly #sessions = new Map<string, Uint8Array>();

  /** Takes the session for `key` out. A ticket is used once, so that two connections cannot be linked by it. */
  take(key: string): Uint8Array | undefined {
    const session = this.#sessions.get(key);
    this.#sessions.delete(key);
    return session;
  }

  /** Keeps the newest session for `key`. */
  put(key: string, session: Uint8Array): void {
    this.#sessions.delete(key);
    this.#sessions.set(key, session);
    if (this.#sessions.size <= MAX_SESSIONS) return;
    const oldest = this.#sessions.keys().next();
    if (oldest.done !== true) this.#sessions.delete(oldest.value);
  }
}

/** What must be equal for a session to be used again. */
export function sessionKey(options: ConnectOptions): string {
  const parts = [
    options.host,
    options.port,
    options.serverName ?? options.host,
    options.authoritiesPem,
    options.identity?.certificatePem ?? '',
  ];
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64');
}
