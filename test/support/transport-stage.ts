import { DEFAULT_LIMITS } from '../../src/transport/limits.ts';
import type {
  Connection,
  ConnectOptions,
  Listener,
  ListenOptions,
  TlsIdentity,
  Transport,
  TransportLimits,
} from '../../src/transport/transport.ts';
import { makeAuthority } from './certificates.ts';

/** Stream window of the contract's connections: small, so that tests reach it. */
export const WINDOW_BYTES = 64 * 1024;

/** Certificates for one run of the contract, for `127.0.0.1` and `localhost`. */
export interface ContractCredentials {
  readonly authorityPem: string;
  readonly server: TlsIdentity;
  /** A second certificate of the same authority. */
  readonly otherServer: TlsIdentity;
  readonly client: TlsIdentity;
  /** An authority that issued none of the above. */
  readonly strangerPem: string;
}

/** What the contract must know about the transport it runs against. */
export interface ContractSubject {
  readonly create: () => Transport;
  readonly credentials: () => Promise<ContractCredentials>;
  /** Whether it carries datagrams. */
  readonly datagrams: boolean;
  /** Whether it verifies certificates; a transport in memory has no TLS. */
  readonly verifies: boolean;
}

/** Certificates that only look like some: enough for a transport that verifies nothing. */
export function paperCredentials(): Promise<ContractCredentials> {
  const paper = (name: string): TlsIdentity => ({
    certificatePem: `-----BEGIN CERTIFICATE-----\n${Buffer.from(name).toString('base64')}\n-----END CERTIFICATE-----\n`,
    privateKeyPem: '',
  });
  return Promise.resolve({
    authorityPem: '',
    server: paper('server'),
    otherServer: paper('other server'),
    client: paper('client'),
    strangerPem: '',
  });
}

/** Real certificates of a test authority. */
export async function tlsCredentials(): Promise<ContractCredentials> {
  const [authority, stranger] = await Promise.all([makeAuthority(), makeAuthority('stranger')]);
  const subject = { names: ['localhost'], ips: ['127.0.0.1'] };
  const [server, otherServer, client] = await Promise.all([
    authority.issue(subject),
    authority.issue(subject),
    authority.issue({ commonName: 'client', client: true }),
  ]);
  return {
    authorityPem: authority.certificatePem,
    server,
    otherServer,
    client,
    strangerPem: stranger.certificatePem,
  };
}

/** A transport with what a test opens on it. */
export class TransportStage {
  readonly subject: ContractSubject;
  transport!: Transport;
  credentials!: ContractCredentials;
  readonly #listeners: Listener[] = [];
  readonly #connections: Connection[] = [];
  #credentials: Promise<ContractCredentials> | undefined;

  constructor(subject: ContractSubject) {
    this.subject = subject;
  }

  async open(): Promise<void> {
    this.#credentials ??= this.subject.credentials();
    this.credentials = await this.#credentials;
    this.transport = this.subject.create();
  }

  async close(): Promise<void> {
    for (const connection of this.#connections.splice(0)) connection.close(0, 'test is over');
    await Promise.all(this.#listeners.splice(0).map((listener) => listener.close()));
  }

  limits(changes: Partial<TransportLimits> = {}): TransportLimits {
    return {
      ...DEFAULT_LIMITS,
      streamWindowBytes: WINDOW_BYTES,
      connectionWindowBytes: 64 * 1024 * 1024,
      ...changes,
    };
  }

  async listen(
    changes: Partial<ListenOptions> = {},
    onConnection: (connection: Connection) => void = () => undefined,
  ): Promise<Listener> {
    const listener = await this.transport.listen(
      {
        host: '127.0.0.1',
        port: 0,
        identity: this.credentials.server,
        clientAuthoritiesPem: undefined,
        requireClientCertificate: false,
        limits: this.limits(),
        ...changes,
      },
      onConnection,
    );
    this.#listeners.push(listener);
    return listener;
  }

  async connect(
    listener: { readonly port: number },
    changes: Partial<ConnectOptions> = {},
  ): Promise<Connection> {
    const connection = await this.transport.connect({
      host: '127.0.0.1',
      port: listener.port,
      serverName: undefined,
      authoritiesPem: this.credentials.authorityPem,
      identity: undefined,
      limits: this.limits(),
      signal: undefined,
      ...changes,
    });
    this.#connections.push(connection);
    return connection;
  }

  /** A connection with both ends; `prepare` runs while the server's end is handed out. */
  async pair(
    changes: { readonly listen?: Partial<ListenOptions>; readonly connect?: Partial<ConnectOptions> } = {},
    prepare: (server: Connection) => void = () => undefined,
  ): Promise<{ client: Connection; server: Connection; listener: Listener }> {
    const accepted = Promise.withResolvers<Connection>();
    const listener = await this.listen(changes.listen, (connection) => {
      prepare(connection);
      accepted.resolve(connection);
    });
    const client = await this.connect(listener, changes.connect);
    return { client, server: await accepted.promise, listener };
  }
}
