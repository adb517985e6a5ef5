/** A cluster of real processes: etcd, nodes with certificates, relays that can be silent, and ways to break all of them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClusterCertificates } from '../../examples/cluster/certificates.ts';
import type { Client, ClusterStatus, ConnectOptions, TopicDescription } from '../../src/client/index.ts';
import { connect } from '../../src/client/index.ts';
import type { Finished } from '../cli/sluice.ts';
import { Place } from '../cli/sluice.ts';
import { EtcdServer } from '../support/etcd-server.ts';
import { eventually } from '../support/eventually.ts';
import { NodeProcess } from '../support/node-process.ts';
import { steadyPort } from '../support/steady-port.ts';
import { TcpRelay } from '../support/tcp-relay.ts';

/** The shortest lease that etcd grants, so that tests see it end soon. */
export const LEASE_TTL_MS = 2000;

const CLUSTER = 'main';
const HOST = '127.0.0.1';

/** What a cluster is started with. */
export interface ClusterOptions {
  /** Names of the nodes. Default n1, n2, n3. */
  readonly nodes?: readonly string[];
  /** Members of etcd. Default 1. */
  readonly etcdMembers?: number;
  /** Further settings of every node, as environment (`SLUICE_…`). */
  readonly env?: Readonly<Record<string, string>>;
  /** Further settings of one node, by its name. */
  readonly envOf?: (nodeId: string) => Readonly<Record<string, string>>;
}

/** How a client is connected. */
export interface ClusterConnectOptions extends ConnectOptions {
  /** Default quic; nodes listen for both on the same ports. */
  readonly scheme?: 'quic' | 'tls';
}

/** One node, with what stands between it and the others. */
export interface StagedNode {
  readonly nodeId: string;
  /** Kill it, start it again, freeze it, read its log. */
  readonly process: NodeProcess;
  /** All that the other nodes say to this one passes here: silence it, cut it, make it late. */
  readonly peerRelay: TcpRelay;
  /** All that this node says to etcd passes here, one for each member of etcd. */
  readonly etcdRelays: readonly TcpRelay[];
}

/**
 * A cluster on loopback. Everything is ended, and every file removed, with it.
 *
 *     client ── QUIC ──> node ── etcd relays ──> etcd
 *                         └── peer relay of the other node ──> other node
 */
export class ClusterStage implements AsyncDisposable {
  readonly etcd: readonly EtcdServer[];
  /** Authority that clients trust, PEM file. */
  readonly ca: string;
  readonly #options: ClusterOptions;
  readonly #certificates: ClusterCertificates;
  readonly #folder: string;
  readonly #nodes = new Map<string, StagedNode>();
  readonly #stack: AsyncDisposableStack;
  readonly #place = new Place();

  private constructor(
    options: ClusterOptions,
    etcd: readonly EtcdServer[],
    certificates: ClusterCertificates,
    folder: string,
    stack: AsyncDisposableStack,
  ) {
    this.#options = options;
    this.etcd = etcd;
    this.#certificates = certificates;
    this.ca = certificates.clientAuthority;
    this.#folder = folder;
    this.#stack = stack;
    stack.defer(() => this.#place.leave());
  }

  /** Starts etcd and all nodes. Resolves when every node shows all the others. */
  static async start(options: ClusterOptions = {}): Promise<ClusterStage> {
    const stack = new AsyncDisposableStack();
    try {
      const folder = mkdtempSync(join(tmpdir(), 'sluice-cluster-'));
      stack.defer(() => rmSync(folder, { recursive: true, force: true }));
      const etcd = await EtcdServer.startMembers(options.etcdMembers ?? 1);
      for (const member of etcd) stack.use(member);
      const certificates = await ClusterCertificates.open(join(folder, 'certificates'), CLUSTER);
      const stage = new ClusterStage(options, etcd, certificates, folder, stack);
      const names = options.nodes ?? ['n1', 'n2', 'n3'];
      // All of them, so that those that do come up are ended when another one does not.
      const added = await Promise.allSettled(names.map((nodeId) => stage.add(nodeId)));
      for (const one of added) if (one.status === 'rejected') throw one.reason;
      await stage.untilMembers(names);
      return stage;
    } catch (error) {
      await stack.disposeAsync();
      throw error;
    }
  }

  /** Starts one node more. Resolves when it is ready. */
  async add(nodeId: string, env: Readonly<Record<string, string>> = {}): Promise<StagedNode> {
    const peerPort = await steadyPort(HOST);
    const peerRelay = this.#stack.use(await TcpRelay.to(peerPort));
    const etcdRelays: TcpRelay[] = [];
    for (const { clientPort } of this.etcd) etcdRelays.push(this.#stack.use(await TcpRelay.to(clientPort)));
    const process = await NodeProcess.start({
      dataFolder: join(this.#folder, nodeId),
      env: {
        SLUICE_NODE_ID: nodeId,
        SLUICE_CLUSTER_NAME: CLUSTER,
        SLUICE_CLUSTER_ETCD_ENDPOINTS: etcdRelays.map(({ port }) => `http://${HOST}:${port}`).join(','),
        SLUICE_CLUSTER_LEASE_TTL: `${LEASE_TTL_MS}ms`,
        SLUICE_PEER_LISTEN: `${HOST}:${peerPort}`,
        SLUICE_PEER_ADVERTISE: `${HOST}:${peerRelay.port}`,
        SLUICE_DRAIN_TIMEOUT: '5s',
        ...(await this.#certificates.environmentOf(nodeId)),
        ...this.#options.env,
        ...this.#options.envOf?.(nodeId),
        ...env,
      },
    });
    this.#stack.use(process);
    const node = { nodeId, process, peerRelay, etcdRelays };
    this.#nodes.set(nodeId, node);
    return node;
  }

  get nodes(): readonly StagedNode[] {
    return [...this.#nodes.values()];
  }

  node(nodeId: string): StagedNode {
    const node = this.#nodes.get(nodeId);
    if (!node) throw new TypeError(`there is no node ${nodeId}`);
    return node;
  }

  /** The settings that name the certificates of a node, as environment. */
  certificatesOf(nodeId: string): Promise<Record<string, string>> {
    return this.#certificates.environmentOf(nodeId);
  }

  /** URLs of all nodes, those that run and those that do not. */
  get urls(): readonly string[] {
    return this.nodes.map(({ process }) => process.url);
  }

  /** A client that knows all nodes, or only those named; the caller closes it, or the stage does. */
  async connect(
    nodeIds?: readonly string[],
    { scheme = 'quic', ...options }: ClusterConnectOptions = {},
  ): Promise<Client> {
    const known = nodeIds?.map((id) => this.node(id).process.url) ?? this.urls;
    const urls = known.map((url) => url.replace(/^quic:/, `${scheme}:`));
    const client = await connect(urls, { ca: this.ca, reconnect: { maxDelayMs: 250 }, ...options });
    return this.#stack.adopt(client, (one) => one.close({ timeoutMs: 1000 }));
  }

  /** Runs `sluice …` against all nodes. @param nodeIds only these */
  sluice(argv: readonly string[], nodeIds?: readonly string[], input = ''): Promise<Finished> {
    const urls = nodeIds?.map((id) => this.node(id).process.url) ?? this.urls;
    return this.#place.run(argv, input, { SLUICE_SERVER: urls.join(','), SLUICE_CA: this.ca });
  }

  /** What `sluice … -o json` prints. @throws Error with its stderr when it fails */
  async json(argv: readonly string[], nodeIds?: readonly string[]): Promise<unknown> {
    const { exitCode, stdout, stderr } = await this.sluice([...argv, '-o', 'json'], nodeIds);
    if (exitCode !== 0) throw new Error(`sluice ${argv.join(' ')} ended with ${exitCode}: ${stderr}`);
    return JSON.parse(stdout);
  }

  /** The cluster as one node sees it. */
  async status(nodeId: string): Promise<ClusterStatus> {
    return this.#ask(nodeId, ({ admin }) => admin.clusterStatus());
  }

  /** A topic as one node sees it. */
  async describe(nodeId: string, topic: string): Promise<TopicDescription> {
    return this.#ask(nodeId, ({ admin }) => admin.describeTopic(topic));
  }

  /** Waits until every node that runs shows exactly these members, all of which take clients. */
  async untilMembers(nodeIds: readonly string[]): Promise<void> {
    const wanted = [...nodeIds].sort().join();
    await eventually(`members ${wanted}`, async () => {
      for (const { nodeId, process } of this.nodes) {
        if (!process.alive) continue;
        const { nodes } = await this.status(nodeId);
        const shown = nodes.filter(({ clientUrls }) => clientUrls.length > 0).map((node) => node.nodeId);
        if (shown.join() !== wanted) return false;
      }
      return true;
    });
  }

  /** From now on a node hears nothing of etcd, nor etcd of it, and nobody is told. */
  silenceEtcd(nodeId: string): void {
    for (const relay of this.node(nodeId).etcdRelays) relay.silence();
  }

  resumeEtcd(nodeId: string): void {
    for (const relay of this.node(nodeId).etcdRelays) relay.resume();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  async #ask<T>(nodeId: string, ask: (client: Client) => Promise<T>): Promise<T> {
    const client = await connect(this.node(nodeId).process.url, { ca: this.ca });
    try {
      return await ask(client);
    } finally {
      await client.close();
    }
  }
}
