/** A cluster in containers: three members of etcd, three nodes of the image, clients outside. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import type { StartedNetwork, StartedTestContainer } from 'testcontainers';
import { GenericContainer, Network, Wait } from 'testcontainers';
import { ClusterCertificates } from '../../examples/cluster/certificates.ts';
import type { Client, ClusterStatus, ConnectOptions, TopicDescription } from '../../src/client/index.ts';
import { connect } from '../../src/client/index.ts';
import { eventually } from '../support/eventually.ts';
import { steadyPort } from '../support/steady-port.ts';
import { ChaosNode, setClock } from './chaos-node.ts';
import { Containers } from './containers.ts';
import type { Images } from './engine.ts';

const CLUSTER = 'main';
const NODES = ['n1', 'n2', 'n3'];
const MEMBERS = ['etcd-1', 'etcd-2', 'etcd-3'];
/** The default of a node. */
export const LEASE_TTL_MS = 3000;
/** Room that each node has for its data. */
const DATA_MIB = 192;
/** User and group of the image. */
const NODE_USER = 1000;
const START_MS = 60_000;

/** A member of etcd. */
export interface EtcdMember {
  readonly name: string;
  readonly address: string;
  kill(): Promise<void>;
  start(): Promise<void>;
  freeze(): Promise<void>;
  thaw(): Promise<void>;
}

/** Everything is stopped and removed with it. */
export class ChaosCluster implements AsyncDisposable {
  readonly nodes: readonly ChaosNode[];
  readonly etcd: readonly EtcdMember[];
  readonly #ca: string;
  readonly #stack: AsyncDisposableStack;

  private constructor(
    nodes: readonly ChaosNode[],
    etcd: readonly EtcdMember[],
    ca: string,
    stack: AsyncDisposableStack,
  ) {
    this.nodes = nodes;
    this.etcd = etcd;
    this.#ca = ca;
    this.#stack = stack;
  }

  /** Resolves when all nodes are members. */
  static async start(images: Images): Promise<ChaosCluster> {
    const stack = new AsyncDisposableStack();
    try {
      const containers = await Containers.connect();
      const network = await new Network().start();
      stack.defer(async () => {
        await network.stop();
      });
      const etcd = await Promise.all(
        MEMBERS.map((name) => startEtcd(name, images, network, containers, stack)),
      );
      const folder = mkdtempSync(join(tmpdir(), 'sluice-chaos-'));
      stack.defer(() => rmSync(folder, { recursive: true, force: true }));
      const certificates = await ClusterCertificates.open(join(folder, 'certificates'), CLUSTER);
      const environments = new Map<string, Record<string, string>>();
      for (const id of NODES) environments.set(id, await certificates.environmentOf(id));
      showToNodes(join(folder, 'certificates'));
      const parts = { images, network, containers, stack, folder };
      const nodes = await Promise.all(NODES.map((id) => startNode(id, environments.get(id)!, parts)));
      const cluster = new ChaosCluster(nodes, etcd, certificates.clientAuthority, stack);
      await cluster.untilWhole();
      return cluster;
    } catch (error) {
      await stack.disposeAsync();
      throw error;
    }
  }

  node(nodeId: string): ChaosNode {
    const node = this.nodes.find((one) => one.nodeId === nodeId);
    if (!node) throw new TypeError(`there is no node ${nodeId}`);
    return node;
  }

  /** The others. */
  others(node: ChaosNode): readonly ChaosNode[] {
    return this.nodes.filter((one) => one !== node);
  }

  /** A client that knows all nodes and begins at the one of that number. */
  async connect(first: number, options: ConnectOptions = {}): Promise<Client> {
    const urls = this.nodes.map((_, n) => this.nodes[(first + n) % this.nodes.length]!.url);
    return connect(urls, { ca: this.#ca, reconnect: { maxDelayMs: 250 }, ...options });
  }

  /** As the first node that answers sees it. */
  async status(): Promise<ClusterStatus> {
    return this.#ask((client) => client.admin.clusterStatus());
  }

  async describe(topic: string): Promise<TopicDescription> {
    return this.#ask((client) => client.admin.describeTopic(topic));
  }

  /** The node that leads a partition; one that runs where nobody is known. */
  async leader(topic: string, partition = 0): Promise<ChaosNode> {
    const { partitions } = await this.describe(topic);
    return this.node(partitions[partition]!.leaderNodeId);
  }

  async controller(): Promise<ChaosNode> {
    const { controllerId } = await this.status();
    return this.node(controllerId!);
  }

  /** Waits until all nodes are members, every partition has a leader, and all copies are in sync. */
  async untilWhole(withinMs = START_MS): Promise<void> {
    let seen: unknown;
    const isWhole = async (): Promise<boolean> => {
      try {
        const status = await this.status();
        seen = status;
        const { leaderless, underReplicated, nodes } = status;
        if (leaderless + underReplicated > 0 || nodes.length < this.nodes.length) return false;
        return nodes.every(({ outOfSync, clientUrls }) => outOfSync === 0 && clientUrls.length > 0);
      } catch (error) {
        seen = error;
        return false;
      }
    };
    await eventually('all copies in sync', isWhole, withinMs).catch((cause: unknown) => {
      throw new Error(`${String(cause)}; seen last: ${inspect(seen, { depth: 4 })}`, { cause });
    });
  }

  /** Ends what faults have left: everything runs, and everybody hears everybody. */
  async heal(): Promise<void> {
    for (const node of this.nodes) {
      await node.thaw().catch(() => undefined);
      await node.healNetwork();
      await node.emptyDisk();
      await node.limitCpu(undefined).catch(() => undefined);
      await node.setClock(0).catch(() => undefined);
      if (!node.isRunning) await node.start();
    }
    for (const member of this.etcd) {
      await member.thaw().catch(() => undefined);
      await member.start().catch(() => undefined);
    }
  }

  /** The ends of the nodes' logs, for people. */
  async logs(): Promise<string> {
    const logs = await Promise.all(this.nodes.map(async (node) => `--- ${node.nodeId}\n${await node.log()}`));
    return logs.join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  async #ask<T>(ask: (client: Client) => Promise<T>): Promise<T> {
    const client = await this.connect(0);
    try {
      return await ask(client);
    } finally {
      await client.close({ timeoutMs: 100 });
    }
  }
}

interface NodeParts {
  readonly images: Images;
  readonly network: StartedNetwork;
  readonly containers: Containers;
  readonly stack: AsyncDisposableStack;
  /** Of this machine: what nodes read. */
  readonly folder: string;
}

async function startEtcd(
  name: string,
  images: Images,
  network: StartedNetwork,
  containers: Containers,
  stack: AsyncDisposableStack,
): Promise<EtcdMember> {
  const peers = MEMBERS.map((member) => `${member}=http://${member}:2380`).join(',');
  const container = await new GenericContainer(images.etcd)
    .withNetwork(network)
    .withNetworkAliases(name)
    .withCommand([
      ...['etcd', '--name', name, '--data-dir', '/etcd-data', '--initial-cluster', peers],
      ...['--listen-client-urls', 'http://0.0.0.0:2379', '--advertise-client-urls', `http://${name}:2379`],
      ...[
        '--listen-peer-urls',
        'http://0.0.0.0:2380',
        '--initial-advertise-peer-urls',
        `http://${name}:2380`,
      ],
    ])
    .withWaitStrategy(Wait.forLogMessage(/ready to serve client requests/))
    .withStartupTimeout(START_MS)
    .start();
  stack.defer(() => remove(container));
  const id = container.getId();
  return {
    name,
    address: container.getIpAddress(network.getName()),
    kill: () => containers.kill(id),
    start: () => containers.start(id),
    freeze: () => containers.pause(id),
    thaw: () => containers.unpause(id),
  };
}

async function startNode(
  nodeId: string,
  certificates: Readonly<Record<string, string>>,
  { images, network, containers, stack, folder }: NodeParts,
): Promise<ChaosNode> {
  const port = await steadyPort('127.0.0.1');
  const certificateFolder = join(folder, 'certificates');
  const clockFolder = join(folder, `clock-${nodeId}`);
  mkdirSync(clockFolder);
  setClock(clockFolder, 0);
  const volume = `sluice-chaos-${nodeId}-${port}`;
  const options = ['type=tmpfs', 'device=tmpfs', `o=size=${DATA_MIB}m,uid=${NODE_USER},gid=${NODE_USER}`];
  execFileSync('docker', ['volume', 'create', ...options.flatMap((one) => ['--opt', one]), volume]);
  stack.defer(() => void execFileSync('docker', ['volume', 'rm', '-f', volume]));
  const stand = await new GenericContainer(images.tools)
    .withNetwork(network)
    .withNetworkAliases(nodeId)
    .withExposedPorts({ container: 7450, host: port, protocol: 'udp' })
    .withAddedCapabilities('NET_ADMIN')
    .withBindMounts([{ source: volume, target: '/data', mode: 'rw' }])
    .withWaitStrategy(Wait.forSuccessfulCommand('true'))
    .start();
  stack.defer(() => remove(stand));
  const node = await new GenericContainer(images.nodeWithClock)
    .withNetworkMode(`container:${stand.getId()}`)
    .withBindMounts([
      { source: volume, target: '/data', mode: 'rw' },
      { source: certificateFolder, target: certificateFolder, mode: 'ro' },
      { source: clockFolder, target: '/clock', mode: 'ro' },
    ])
    .withEnvironment({
      ...certificates,
      SLUICE_NODE_ID: nodeId,
      SLUICE_CLUSTER_NAME: CLUSTER,
      SLUICE_CLUSTER_ETCD_ENDPOINTS: MEMBERS.map((member) => `http://${member}:2379`).join(','),
      SLUICE_CLUSTER_LEASE_TTL: `${LEASE_TTL_MS}ms`,
      SLUICE_QUIC_LISTEN: '0.0.0.0:7450',
      SLUICE_QUIC_ADVERTISE: `127.0.0.1:${port}`,
      SLUICE_TLS_LISTEN: 'off',
      SLUICE_PEER_LISTEN: '0.0.0.0:7452',
      SLUICE_PEER_ADVERTISE: `${nodeId}:7452`,
      SLUICE_AUTH_ALLOW_ANONYMOUS: 'true',
      SLUICE_STORAGE_MEMORY_BYTES: '256MiB',
    })
    .withWaitStrategy(Wait.forLogMessage(/node\.ready/))
    .withStartupTimeout(START_MS)
    .start();
  stack.defer(() => remove(node));
  const place = { nodeId, port, clockFolder };
  return new ChaosNode(place, stand.getIpAddress(network.getName()), stand, node, containers);
}

async function remove(container: StartedTestContainer): Promise<void> {
  await container.stop({ timeout: 0, removeVolumes: true });
}

/** The image's user reads the keys, whoever runs this; others do not come into the folder around them. */
function showToNodes(folder: string): void {
  chmodSync(folder, 0o755);
  for (const file of readdirSync(folder)) chmodSync(join(folder, file), 0o644);
}
