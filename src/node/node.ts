import type { ListenAddress } from '../config/kinds.ts';
import type { Settings } from '../config/settings.ts';
import type { GrpcGateway } from '../gateway/grpc/grpc-gateway.ts';
import type { HttpGateway, Readiness } from '../gateway/http/http-gateway.ts';
import { systemRandom } from '../kernel/random.ts';
import { systemClock } from '../kernel/system-clock.ts';
import { createLogger } from '../telemetry/logger.ts';
import { joinCluster } from './cluster-member.ts';
import type { Core, CorePorts } from './core.ts';
import { buildCore } from './core.ts';
import { checkExposure } from './exposure.ts';
import { serveGrpc } from './grpc.ts';
import { openListeners } from './listeners.ts';
import { alternativesTo, handOver, tellCluster } from './members.ts';
import type { ClusterSources } from './metrics/node-metrics.ts';
import { PreparedHttp } from './prepared-http.ts';
import { software } from './version.ts';

/** Addresses that were bound; undefined is off. */
export interface NodeAddresses {
  readonly quic: ListenAddress;
  readonly tls: ListenAddress | undefined;
  readonly http: ListenAddress | undefined;
  readonly grpc: ListenAddress | undefined;
}

/** What a test may replace; the machine's own where left out. The log is as `log.level` and `log.format` say, on standard error. */
export type NodePorts = Partial<CorePorts>;

/**
 * A running node: everything built from its settings, in order, and taken apart in reverse.
 *
 *     data directory → coordination → certificates → topics on disk → broker → native gateway → HTTP prepared → QUIC → HTTP/2 → other nodes →
 *     announced to the cluster → controller → gRPC → HTTP (health, metrics, API) → replication
 */
export class Node implements AsyncDisposable {
  readonly addresses: NodeAddresses;
  /** File with the authority of the node's own certificate; undefined where a certificate was configured. */
  readonly authorityFile: string | undefined;
  readonly #core: Core;
  readonly #grpc: GrpcGateway | undefined;
  readonly #http: HttpGateway | undefined;
  readonly #parts: AsyncDisposableStack;
  #drained: Promise<void> | undefined;

  private constructor(
    core: Core,
    { http, grpc }: { readonly http: HttpGateway | undefined; readonly grpc: GrpcGateway | undefined },
    parts: AsyncDisposableStack,
  ) {
    const { listeners, certificates } = core;
    this.#core = core;
    this.#grpc = grpc;
    this.#http = http;
    this.#parts = parts;
    this.authorityFile = certificates.current.authorityFile;
    this.addresses = {
      quic: addressOf(listeners.get('quic')!),
      tls: listeners.has('tls') ? addressOf(listeners.get('tls')!) : undefined,
      http: http && addressOf(http),
      grpc: grpc && addressOf(grpc),
    };
  }

  /**
   * Starts a node. When something fails, what was started before it is stopped again.
   *
   * @throws INVALID_CONFIG; DATA_DIR_LOCKED when another process uses the data directory; ADDRESS_IN_USE; STORAGE_FAILED,
   *   STORAGE_FULL; UNSUPPORTED; in a cluster what keeps etcd from being used
   */
  static async start(settings: Settings, ports: NodePorts = {}): Promise<Node> {
    checkExposure(settings);
    const log =
      ports.log ??
      createLogger({
        level: settings.log.level,
        format: settings.log.format,
        fields: { node: settings.node.id },
      });
    const parts = new AsyncDisposableStack();
    try {
      const core = await buildCore(
        settings,
        { clock: systemClock, random: systemRandom, ...ports, log },
        parts,
      );
      const prepared = await PreparedHttp.open(core, () => readinessOf(core));
      parts.use(prepared);
      await openListeners(core, parts);
      const member = await join(core, parts);
      const grpc = await serveGrpc(core, parts);
      const http = await prepared?.listen({ member, grpc });
      // Before what it stands on; what was only prepared is closed with the rest.
      if (http) parts.defer(() => http.close());
      core.replication?.begin();
      const node: Node = new Node(core, { http, grpc }, parts);
      log.info('node.started', {
        ...node.addresses,
        nodeId: core.coordinator.nodeId,
        dataDir: settings.dataDir,
      });
      return node;
    } catch (error) {
      log.error('node.start_failed', { error });
      await parts
        .disposeAsync()
        .catch((cause: unknown) => log.error('node.cleanup_failed', { error: cause }));
      throw error;
    }
  }

  /** Whether clients may come. */
  get readiness(): Readiness {
    return readinessOf(this.#core);
  }

  /**
   * Hands over what this node leads, in a cluster where others are. Then lets clients go: takes no new connections, publishes or subscriptions, sends GOAWAY and END, answers what has been received.
   * Resolves when every client has gone, at the latest after `drain.timeout`, for each of the two. Dispose of the node afterwards. Idempotent.
   */
  drain(): Promise<void> {
    this.#drained ??= this.#drain();
    return this.#drained;
  }

  /**
   * Reads certificates and authorities of clients again, for connections to come; a changed file is noticed by itself too, within
   * 10 seconds. @returns false when what was found cannot be used: the old ones stay, the log says why
   */
  async reloadCertificates(): Promise<boolean> {
    const { certificates, peers } = this.#core;
    const reloaded = await Promise.all([certificates.reload(), peers?.certificates.reload() ?? true]);
    return reloaded.every(Boolean);
  }

  /** Stops at once; connections that are still open are closed with CLOSED. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#parts.disposed) return;
    await this.#parts.disposeAsync();
    this.#core.log.info('node.stopped');
  }

  async #drain(): Promise<void> {
    const { broker, gateway, listeners, log, self, coordinator, settings } = this.#core;
    log.info('node.draining', { connections: gateway.gauges().connections });
    await this.#handOver();
    broker.drain();
    this.#http?.drain();
    for (const listener of listeners.values()) listener.pause();
    await Promise.all([
      gateway.drain('this node is stopping', alternativesTo(self, coordinator.cluster)),
      this.#grpc?.drain(settings.drain.timeoutMs),
    ]);
    log.info('node.drained');
  }

  /** What cannot be handed over others take when this node has left. */
  async #handOver(): Promise<void> {
    const { settings, coordinator, clock, log, health } = this.#core;
    if (!health) return;
    health.leave();
    const { nodeId, cluster } = coordinator;
    try {
      const left = await handOver(nodeId, cluster, clock, settings.drain.timeoutMs);
      log.info('cluster.handed_over', { partitionsLeft: left });
    } catch (error) {
      log.warn('cluster.hand_over_failed', { error });
    }
  }
}

/** @returns undefined for a node on its own */
async function join(core: Core, parts: AsyncDisposableStack): Promise<ClusterSources | undefined> {
  const { peers, health, broker, observers } = core;
  if (!peers || !health || !observers) {
    await announce(core);
    return undefined;
  }
  const member = await joinCluster({ ...core, peers, observers }, () => announce(core), parts);
  return { ...member, peers, health, observers, partitions: () => broker.copies() };
}

/** Tells the cluster where this node is, now that it can be reached. */
function announce({ coordinator, settings, self, peers, log }: Core): Promise<void> {
  const { zone = '', capacity = 1 } = settings.cluster ?? {};
  const [clientUrls, peerAddress] = [self.urls(), peers?.address ?? null];
  const description = { clientUrls, peerAddress, zone, capacity, software: software() };
  return tellCluster(coordinator.cluster, description, log);
}

/** Of what listens HTTP is the last, and replication begins in the same turn: a node that can be asked has everything. */
function readinessOf({ broker, health }: Core): Readiness {
  const reasons = [...(health?.faults() ?? [])];
  if (broker.snapshot().draining) reasons.unshift('the node is draining');
  return { ready: reasons.length === 0, reasons };
}

function addressOf({ host, port }: ListenAddress): ListenAddress {
  return { host, port };
}
