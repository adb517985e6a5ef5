import type { ClusterSettings } from '../config/cluster-settings.ts';
import type { Cluster } from '../coordination/cluster.ts';
import type { Unwatch } from '../coordination/unwatch.ts';
import type { Clock } from '../kernel/clock.ts';
import { SluiceError, asSluiceError } from '../kernel/errors.ts';
import type { Random } from '../kernel/random.ts';
import { PeerClient } from '../peer/peer-client.ts';
import { PeerServer } from '../peer/peer-server.ts';
import { DEFAULT_PEER_SETTINGS } from '../peer/peer-settings.ts';
import type { PeerServices } from '../peer/ports.ts';
import { checkNodeIdentity } from '../security/node-identity.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { GrpcTls } from '../transport/grpc/grpc-tls.ts';
import type { TlsIdentity } from '../transport/transport.ts';
import { CertificateRotation } from './certificate-rotation.ts';
import { hostPort } from './node-urls.ts';
import type { TlsSource } from './tls-material.ts';

/** How long calls of other nodes may go on when this one stops; streams are cut off then. */
const GRACE_MS = 500;

/** What a node among others is made of. */
export interface PeersOptions {
  readonly settings: ClusterSettings;
  readonly nodeId: string;
  readonly dataDir: string;
  readonly cluster: Pick<Cluster, 'nodes' | 'watchNodes'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** How this node reaches the others, and they it; with certificates that are read again when their files change. */
export class Peers implements AsyncDisposable {
  /** Asks other nodes. */
  readonly client: PeerClient;
  readonly certificates: CertificateRotation;
  readonly #options: PeersOptions;
  readonly #unwatch: Unwatch;
  #server: PeerServer | undefined;

  private constructor(options: PeersOptions, certificates: CertificateRotation) {
    this.#options = options;
    this.certificates = certificates;
    const { settings, cluster, clock, random, log } = options;
    this.client = new PeerClient({
      cluster: settings.name,
      tls: this.#tls(certificates.current.identity, certificates.current.clientAuthoritiesPem),
      settings: DEFAULT_PEER_SETTINGS,
      clock,
      random,
      log,
      addressOf: (nodeId) => cluster.nodes().find((node) => node.nodeId === nodeId)?.peerAddress ?? undefined,
    });
    this.#unwatch = cluster.watchNodes(({ kind, node }) => {
      if (kind === 'left') this.client.left(node.nodeId);
    });
  }

  /** Reads the certificates; nobody is dialled yet. @throws INVALID_CONFIG when they cannot be used, or are another node's */
  static async open(options: PeersOptions): Promise<Peers> {
    const { settings, dataDir, clock, random, log } = options;
    const certificates = await CertificateRotation.open(sourceOf(settings, dataDir), { clock, random, log });
    return new Peers(options, certificates);
  }

  /**
   * Begins to do for other nodes what they ask for.
   * @param parts what is to be taken apart again, the last first: other nodes are let go before `services` end
   * @throws ADDRESS_IN_USE, INVALID_CONFIG
   */
  async listen(services: PeerServices, parts: AsyncDisposableStack): Promise<void> {
    const { settings, clock, log } = this.#options;
    const { identity, clientAuthoritiesPem } = this.certificates.current;
    const tls = this.#tls(identity, clientAuthoritiesPem);
    const { host, port } = settings.peer.listen;
    const server = await PeerServer.listen(
      { host, port, cluster: settings.name, tls, settings: DEFAULT_PEER_SETTINGS, clock, log },
      services,
    );
    parts.defer(() => server.close(GRACE_MS));
    this.#server = server;
    this.certificates.watch(() => [
      { setIdentity: (...given) => server.setTls(this.#tls(...given)) },
      { setIdentity: (...given) => this.client.setTls(this.#tls(...given)) },
    ]);
  }

  /** Where other nodes reach this one, `host:port`; null before it listens. */
  get address(): string | null {
    if (!this.#server) return null;
    const { listen, advertise } = this.#options.settings.peer;
    const port = advertise?.port ?? 0;
    return hostPort({ host: (advertise ?? listen).host, port: port === 0 ? this.#server.port : port });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#unwatch();
    await this.certificates[Symbol.asyncDispose]();
    this.client.close();
  }

  /** @throws INVALID_CONFIG when the certificate does not speak for this node, which every other node would refuse */
  #tls(identity: TlsIdentity, authoritiesPem: string | undefined): GrpcTls {
    const { settings, nodeId } = this.#options;
    try {
      checkNodeIdentity(identity.certificatePem, { cluster: settings.name, nodeId });
    } catch (error) {
      throw new SluiceError('INVALID_CONFIG', `peer.tls.certificate: ${asSluiceError(error).message}`, {
        cause: error,
      });
    }
    // There always is one: the settings ask for it.
    return { identity, authoritiesPem: authoritiesPem ?? '' };
  }
}

function sourceOf({ peer }: ClusterSettings, dataDir: string): TlsSource {
  return {
    dataDir,
    tls: { certificateFiles: peer.certificateFiles, clientCaFile: peer.caFile, names: [] },
    named: { certificate: 'peer.tls.certificate', key: 'peer.tls.key', authorities: 'peer.tls.ca' },
  };
}
