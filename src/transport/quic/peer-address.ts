import type { RemoteInfo } from 'node:dgram';
import type { HostPort, NativeConnection, RecvInfo } from './native.ts';

/** Where the peer of a connection is: in the binding's form for quiche, with the interface's scope for the socket. */
export class PeerAddress {
  readonly #local: HostPort;
  #scope = '';
  /** Where the last packet came from, as the socket said it. */
  #fromHost: string;
  #fromPort: number;
  #info: RecvInfo;
  /** Where the last packet went, as quiche said it and as the socket takes it. */
  #toHost: string;
  #to: HostPort;
  #current: HostPort;

  constructor(remote: HostPort, local: HostPort) {
    this.#local = withoutScope(local);
    this.#fromHost = remote.host;
    this.#fromPort = remote.port;
    const plain = withoutScope(remote);
    this.#scope = remote.host.slice(plain.host.length);
    this.#info = { from: plain, to: this.#local };
    this.#toHost = plain.host;
    this.#to = remote;
    this.#current = remote;
  }

  /** `host:port`, IPv6 in brackets. */
  get text(): string {
    return addressText(this.#current);
  }

  /** Where the last packet went. */
  get last(): HostPort {
    return this.#to;
  }

  /** What to tell quiche about a packet. Costs nothing while the address stays the same. */
  receivedFrom(from: RemoteInfo): RecvInfo {
    if (from.port !== this.#fromPort || from.address !== this.#fromHost) {
      this.#fromHost = from.address;
      this.#fromPort = from.port;
      const plain = withoutScope({ host: from.address, port: from.port });
      this.#scope = from.address.slice(plain.host.length);
      this.#info = { from: plain, to: this.#local };
    }
    return this.#info;
  }

  /** Where to send a packet that quiche addressed to `to`. */
  sendTo(to: HostPort): HostPort {
    if (to.port !== this.#to.port || to.host !== this.#toHost) {
      this.#toHost = to.host;
      this.#to = { host: to.host.startsWith('fe80:') ? to.host + this.#scope : to.host, port: to.port };
    }
    return this.#to;
  }

  /** Follows a peer that moved to another address. */
  followPath(native: NativeConnection): void {
    for (;;) {
      const event = native.pathEventNext() as ReturnType<NativeConnection['pathEventNext']> | null;
      if (event === null) return;
      if (event.type === 'PeerMigrated') this.#current = event.new;
    }
  }
}

/** `host:port`, IPv6 in brackets. */
export function addressText(address: HostPort): string {
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return `${host}:${address.port}`;
}

/** quiche would take the scope of a link-local address for a name and ask the resolver. */
function withoutScope(address: HostPort): HostPort {
  const at = address.host.indexOf('%');
  return at < 0 ? address : { host: address.host.slice(0, at), port: address.port };
}
