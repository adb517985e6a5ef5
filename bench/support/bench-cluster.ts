import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClusterCertificates } from '../../examples/cluster/certificates.ts';
import type { ReadyNode } from '../../examples/cluster/processes.ts';
import { startEtcd, startNode } from '../../examples/cluster/processes.ts';
import type { Client, NewTopic, TopicDescription } from '../../src/client/index.ts';
import { connect } from '../../src/client/index.ts';
import type { ServerAddress } from '../adapters/adapter.ts';
import type { Usage } from './processes.ts';
import { usageOf } from './processes.ts';

const CLUSTER = 'bench';
const LOOK_MS = 50;

/** Some nodes with one etcd, or one node on its own, in a folder of their own that goes with them. */
export class BenchCluster implements AsyncDisposable {
  readonly nodes: readonly ReadyNode[];
  readonly #ca: string;
  readonly #stack: AsyncDisposableStack;

  private constructor(nodes: readonly ReadyNode[], ca: string, stack: AsyncDisposableStack) {
    this.nodes = nodes;
    this.#ca = ca;
    this.#stack = stack;
  }

  /** @param count nodes; 1: a node on its own, without etcd */
  static async start(count: number): Promise<BenchCluster> {
    const stack = new AsyncDisposableStack();
    try {
      const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-cluster-'));
      stack.defer(() => rmSync(folder, { recursive: true, force: true }));
      const certificates = await ClusterCertificates.open(join(folder, 'certificates'), CLUSTER);
      const etcd = count === 1 ? undefined : await startEtcd(folder, stack);
      const nodes: ReadyNode[] = [];
      for (let n = 1; n <= count; n += 1) {
        const nodeId = `n${n}`;
        const { SLUICE_TLS_CERTIFICATE, SLUICE_TLS_KEY, ...between } =
          await certificates.environmentOf(nodeId);
        const env = {
          SLUICE_TLS_CERTIFICATE: SLUICE_TLS_CERTIFICATE!,
          SLUICE_TLS_KEY: SLUICE_TLS_KEY!,
          ...(etcd !== undefined && {
            ...between,
            SLUICE_CLUSTER_NAME: CLUSTER,
            SLUICE_CLUSTER_ETCD_ENDPOINTS: etcd,
            SLUICE_DRAIN_TIMEOUT: '2s',
          }),
        };
        nodes.push(await startNode(nodeId, folder, env, stack, 'error'));
      }
      return new BenchCluster(nodes, certificates.clientAuthority, stack);
    } catch (error) {
      await stack.disposeAsync();
      throw error;
    }
  }

  node(nodeId: string): ReadyNode {
    const node = this.nodes.find((one) => one.nodeId === nodeId);
    if (node === undefined) throw new TypeError(`there is no node ${nodeId}`);
    return node;
  }

  /** Where clients of a node go. */
  addressOf(nodeId: string): ServerAddress {
    const { hostname: host, port } = new URL(this.node(nodeId).quic);
    return { system: 'sluice', host, port: Number(port), caFile: this.#ca };
  }

  /** What each node has used so far. */
  usage(): readonly Usage[] {
    return this.nodes.map(({ pid }) => usageOf(pid));
  }

  /** Ends a node as a crash would. */
  kill(nodeId: string): void {
    process.kill(this.node(nodeId).pid, 'SIGKILL');
  }

  /** A client of the first node; the caller closes it. */
  connect(): Promise<Client> {
    return connect(this.nodes[0]!.quic, { ca: this.#ca });
  }

  /** Creates a topic. Resolves when each partition is led, and all its copies are in sync. */
  async createTopic(topic: NewTopic): Promise<TopicDescription> {
    const client = await this.connect();
    try {
      await client.admin.createTopic(topic);
      for (;;) {
        const described = await client.admin.describeTopic(topic.name);
        const isReady = described.partitions.every(
          ({ leaderNodeId, leaderEpoch, replicas, isr, error }) =>
            leaderNodeId !== '' && leaderEpoch > 0 && isr.length === replicas.length && error === undefined,
        );
        if (isReady) return described;
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      }
    } finally {
      await client.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}
