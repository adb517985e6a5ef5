import type { IncomingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import { isIP } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Principal } from '../../broker/ports.ts';
import { SluiceError, asSluiceError } from '../../kernel/errors.ts';
import type { ApiOptions } from './api-context.ts';

const BEARER = /^Bearer +(\S+)$/i;

/** A request as far as it says who makes it. */
interface Asking {
  readonly headers: IncomingHttpHeaders;
  readonly socket: Socket;
}

/** What a connection has shown last. */
interface Shown {
  readonly authorization: string | undefined;
  readonly principal: Principal;
}

/** Who makes a request: its bearer token, else the client certificate of its connection, else nobody in particular. */
export class Identity {
  readonly #options: ApiOptions;
  /** Most requests of a connection show what the one before has shown. */
  readonly #shown = new WeakMap<Socket, Shown>();
  readonly #names: ReadonlySet<string>;

  constructor(options: ApiOptions) {
    this.#options = options;
    this.#names = new Set(['localhost', ...options.names]);
  }

  /**
   * @throws UNAUTHENTICATED; FORBIDDEN to a page of an origin that may not use the API
   */
  identify({ headers, socket }: Asking): Principal {
    const { authorization, origin, host } = headers;
    if (origin !== undefined) this.#checkOrigin(origin, host);
    const shown = this.#shown.get(socket);
    const { broker } = this.#options;
    let principal: Principal;
    if (shown?.authorization === authorization && shown && broker.isStillValid(shown.principal)) {
      principal = shown.principal;
    } else {
      principal = this.#authenticate(socket, authorization);
      this.#shown.set(socket, { authorization, principal });
    }
    if (principal.kind === 'anonymous' && origin === undefined) this.#checkHost(host, socket);
    return principal;
  }

  /**
   * Notes that somebody was refused.
   * @returns how long the answer has to wait, milliseconds: 0 unless somebody guesses
   */
  noteRefusal({ headers, socket }: Asking, error: unknown): number {
    const { code } = asSluiceError(error);
    if (code !== 'UNAUTHENTICATED' || headers.authorization === undefined) return 0;
    const remoteAddress = addressOf(socket);
    this.#options.security.note({ kind: 'authentication_failed', code, remoteAddress });
    return this.#options.failedAuthentications.note(remoteAddress);
  }

  #authenticate(socket: Socket, authorization: string | undefined): Principal {
    const token = authorization === undefined ? undefined : BEARER.exec(authorization)?.[1];
    if (authorization !== undefined && token === undefined)
      throw new SluiceError('UNAUTHENTICATED', 'Authorization has to be: Bearer, and a token');
    const found = this.#options.broker.authenticate({ token, certificate: certificateOf(socket) });
    if (found.kind === 'anonymous') return found;
    const remoteAddress = addressOf(socket);
    const principal = { ...found, remoteAddress };
    this.#options.security.note({ kind: 'authenticated', principal, remoteAddress });
    return principal;
  }

  /** A browser says where a page is from; the page of a stranger must not use what only its reader's machine can reach. */
  #checkOrigin(origin: string, host: string | undefined): void {
    const { origins } = this.#options;
    if (origins.includes(origin) || origins.includes('*')) return;
    const page = URL.canParse(origin) ? new URL(origin) : undefined;
    if (page?.host === host?.toLowerCase() && page && this.#isOwnName(page.hostname)) return;
    throw new SluiceError(
      'FORBIDDEN',
      `pages of ${origin.slice(0, 200)} may not use this node: name it in http.origins`,
    );
  }

  /**
   * Somebody nobody knows who reached a loopback address by a strange name is a page whose name was made to point here.
   */
  #checkHost(host: string | undefined, socket: Socket): void {
    if (host === undefined || !isLoopbackAddress(socket.localAddress)) return;
    const name = host.replace(/:\d+$/, '').toLowerCase();
    if (this.#isOwnName(name)) return;
    throw new SluiceError('FORBIDDEN', `this node is not ${name.slice(0, 200)}: name it in tls.names`);
  }

  #isOwnName(hostname: string): boolean {
    return isIP(hostname.replace(/^\[|\]$/g, '')) !== 0 || this.#names.has(hostname);
  }
}

function isLoopbackAddress(address: string | undefined): boolean {
  return address === '::1' || /^(?:::ffff:)?127\./.test(address ?? '');
}

/** DER of the client certificate that TLS has verified. */
function certificateOf(socket: Socket): Buffer | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  return socket.getPeerX509Certificate()?.raw;
}

function addressOf({ remoteAddress = '', remotePort = 0 }: Socket): string {
  return remoteAddress.includes(':') ? `[${remoteAddress}]:${remotePort}` : `${remoteAddress}:${remotePort}`;
}
