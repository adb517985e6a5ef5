import { join } from 'node:path';
import { Broker } from '../broker/broker.ts';
import { DiskLogs } from '../broker/disk-logs.ts';
import { memoryAndDiskLogs, memoryLogs } from '../broker/log-factory.ts';
import type { ListenAddress } from '../config/kinds.ts';
import type { Settings } from '../config/settings.ts';
import type { Coordinator } from '../coordination/coordinator.ts';
import { EmbeddedCoordinator } from '../coordination/embedded.ts';
import type { HttpGateway, Readiness } from '../gateway/http/http-gateway.ts';
import { createHttpGateway } from '../gateway/http/http-gateway.ts';
import { NativeGateway } from '../gateway/quic/gateway.ts';
import { SecurityLog } from '../gateway/quic/security-log.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Random } from '../kernel/random.ts';
import { systemRandom } from '../kernel/random.ts';
import { systemClock } from '../kernel/system-clock.ts';
import { MemoryBudget } from '../log/memory-budget.ts';
import type { DiskShared } from '../log/disk/disk-shared.ts';
import { createDiskShared } from '../log/disk/disk-shared.ts';
import { nodeFileSystem } from '../log/disk/node-file-system.ts';
import type { Logger } from '../telemetry/logger.ts';
import { createLogger } from '../telemetry/logger.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { createHttp2Transport } from '../transport/http2/http2-transport.ts';
import { createQuicTransport } from '../transport/quic/quic-transport.ts';
import type { Listener, Transport } from '../transport/transport.ts';
import { createAuthenticator, createAuthorizer } from './access.ts';
import { CertificateRotation } from './certificate-rotation.ts';
import {
  diskLimits,
  gatewayLimits,
  memoryLogBytes,
  topicDefaults,
  transportLimits,
} from './derived-limits.ts';
import { checkExposure } from './exposure.ts';
import { registerNodeMetrics } from './node-metrics.ts';
import { nodeUrls } from './node-urls.ts';
import { loadResetKey } from './reset-key.ts';
import { diskObserver, topicObserver } from './storage-log.ts';
import { packageVersion } from './version.ts';

/** Addresses that were bound; undefined is off. */
export interface NodeAddresses {
  readonly quic: ListenAddress;
  readonly tls: ListenAddress | undefined;
  readonly http: ListenAddress | undefined;
}

/** What a test may replace; the machine's own where left out. */
export interface NodePorts {
  readonly clock?: Clock;
  readonly random?: Random;
  /** Default: as `log.level` and `log.format` say, on standard error. */
  readonly log?: Logger;
}

/** What is built before listeners can be opened. */
interface Core {
  readonly settings: Settings;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly coordinator: Coordinator;
  readonly broker: Broker;
  readonly gateway: NativeGateway;
  readonly certificates: CertificateRotation;
  readonly disk: DiskShared;
  /** Also read while it is being filled: WELCOME names what listens. */
  readonly listeners: Map<string, Listener>;
}

/**
 * A running node: everything built from its settings, in order, and taken apart in reverse.
 *
 *     data directory → certificates → topics on disk → broker → native gateway → QUIC → HTTP/2 → HTTP (health, metrics)
 */
export class Node implements AsyncDisposable {
  readonly addresses: NodeAddresses;
  /** File with the authority of the node's own certificate; undefined where a certificate was configured. */
  readonly authorityFile: string | undefined;
  readonly #core: Core;
  readonly #parts: AsyncDisposableStack;
  #drained: Promise<void> | undefined;

  private constructor(core: Core, http: HttpGateway | undefined, parts: AsyncDisposableStack) {
    const { listeners, certificates } = core;
    this.#core = core;
    this.#parts = parts;
    this.authorityFile = certificates.current.authorityFile;
    this.addresses = {
      quic: addressOf(listeners.get('quic')!),
      tls: listeners.has('tls') ? addressOf(listeners.get('tls')!) : undefined,
      http: http && addressOf(http),
    };
  }

  /**
   * Starts a node. When something fails, what was started before it is stopped again.
   *
   * @throws INVALID_CONFIG; DATA_DIR_LOCKED when another process uses the data directory; ADDRESS_IN_USE; STORAGE_FAILED,
   *   STORAGE_FULL; UNSUPPORTED
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
      await listen(core, parts);
      const node: Node = new Node(core, await serveHttp(core, parts), parts);
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
   * Lets clients go: takes no new connections, publishes or subscriptions, sends GOAWAY and END, answers what has been received.
   * Resolves when every client has gone, at the latest after `drain.timeout`. Dispose of the node afterwards. Idempotent.
   */
  drain(): Promise<void> {
    this.#drained ??= this.#drain();
    return this.#drained;
  }

  /**
   * Reads certificates and authorities of clients again, for connections to come; a changed file is noticed by itself too, within
   * 10 seconds. @returns false when what was found cannot be used: the old ones stay, the log says why
   */
  reloadCertificates(): Promise<boolean> {
    return this.#core.certificates.reload();
  }

  /** Stops at once; connections that are still open are closed with CLOSED. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#parts.disposed) return;
    await this.#parts.disposeAsync();
    this.#core.log.info('node.stopped');
  }

  async #drain(): Promise<void> {
    const { broker, gateway, listeners, log } = this.#core;
    log.info('node.draining', { connections: gateway.gauges().connections });
    broker.drain();
    for (const listener of listeners.values()) listener.pause();
    await gateway.drain('this node is stopping', []);
    log.info('node.drained');
  }
}

async function buildCore(
  settings: Settings,
  { clock, random, log }: Required<NodePorts>,
  parts: AsyncDisposableStack,
): Promise<Core> {
  const { dataDir } = settings;
  const nodeId = settings.node.id;
  const coordinator = parts.use(await EmbeddedCoordinator.open({ dataDir, clock, random, nodeId }));
  const certificates = parts.use(await CertificateRotation.open(settings, { clock, random, log }));
  const security = new SecurityLog(log, clock);
  const disk = createDiskShared(nodeFileSystem, diskLimits(settings));
  const diskLogs = parts.use(
    await DiskLogs.open({
      directory: join(dataDir, 'topics'),
      clock,
      clusterId: coordinator.clusterId,
      topics: coordinator.topics(),
      shared: disk,
      observer: diskObserver(log),
      segmentBytes: settings.storage.segmentBytes ?? undefined,
    }),
  );
  const broker = parts.use(
    await Broker.open({
      coordinator,
      clock,
      random,
      authorizer: createAuthorizer(settings, security),
      authenticator: createAuthenticator(settings, coordinator.tokens, clock),
      logs: memoryAndDiskLogs(memoryLogs(clock, new MemoryBudget(memoryLogBytes(settings))), diskLogs),
      topics: topicDefaults(settings),
      inflatedMaxBytes: settings.limits.inflatedMaxBytes,
      observer: topicObserver(log),
    }),
  );
  const listeners = new Map<string, Listener>();
  const { clusterId } = coordinator;
  const gateway = new NativeGateway({
    broker,
    clock,
    log,
    security,
    limits: gatewayLimits(settings),
    node: {
      nodeId,
      clusterId,
      software: `sluice/${packageVersion()}`,
      nodes: () => [{ nodeId, zone: '', urls: nodeUrls(listeners, settings) }],
    },
  });
  return { settings, clock, random, log, coordinator, broker, gateway, certificates, disk, listeners };
}

async function listen(core: Core, parts: AsyncDisposableStack): Promise<void> {
  const { settings, clock, random, log } = core;
  const onFault = (error: unknown): void => log.error('transport.fault', { error });
  const resetKey = await loadResetKey(settings.dataDir, random);
  await open(core, parts, createQuicTransport({ clock, random, onFault, resetKey }), settings.quic.listen);
  if (settings.tls.listen) await open(core, parts, createHttp2Transport({ clock }), settings.tls.listen);
  core.certificates.watch(() => core.listeners.values());
}

async function open(
  core: Core,
  parts: AsyncDisposableStack,
  transport: Transport,
  { host, port }: ListenAddress,
): Promise<void> {
  const { settings, certificates, gateway, listeners } = core;
  const { identity, clientAuthoritiesPem } = certificates.current;
  const listener = await transport.listen(
    {
      host,
      port,
      identity,
      clientAuthoritiesPem,
      requireClientCertificate: settings.tls.requireClientCertificate,
      limits: transportLimits(settings),
    },
    gateway.accept,
  );
  parts.defer(() => listener.close());
  listeners.set(transport.scheme, listener);
}

async function serveHttp(core: Core, parts: AsyncDisposableStack): Promise<HttpGateway | undefined> {
  const { settings, broker, gateway, certificates, disk, listeners, log } = core;
  if (!settings.http.listen) return undefined;
  const metrics = createMetrics();
  registerNodeMetrics(metrics, { broker, gateway, certificates, listeners, disk });
  const http = await createHttpGateway({
    listen: settings.http.listen,
    metrics,
    readiness: () => readinessOf(core),
    log,
    version: { name: 'sluice', version: packageVersion(), node: process.version },
  });
  parts.defer(() => http.close());
  return http;
}

/** Health and metrics are served last, so a node that can be asked has everything else. */
function readinessOf({ broker }: Core): Readiness {
  const { draining } = broker.snapshot();
  return { ready: !draining, reasons: draining ? ['the node is draining'] : [] };
}

function addressOf({ host, port }: ListenAddress): ListenAddress {
  return { host, port };
}
