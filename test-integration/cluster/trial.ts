/** Workloads on a cluster, one for each kind of storage at the same time, so that one failure tries both. */
import { expect } from 'vitest';
import type { Client, TopicSettingsChange } from '../../src/client/index.ts';
import { checkHistory } from '../support/workload/check-history.ts';
import type { History } from '../support/workload/history.ts';
import { longestPause } from '../support/workload/history.ts';
import type { WorkloadOptions } from '../support/workload/workload.ts';
import { IMPATIENT, Workload } from '../support/workload/workload.ts';
import { eventually } from '../support/eventually.ts';
import type { ClusterConnectOptions, ClusterStage, StagedNode } from './stage.ts';

/** On a machine that does something else at the same time all that is to happen in time may take so many times as long. */
export const PATIENCE = Number(process.env['PATIENCE'] ?? 1);

const PARTITIONS = 6;
const MiB = 1024 * 1024;

/** What a trial is made of. */
export interface TrialOptions extends Partial<WorkloadOptions> {
  /** Default disk and memory. */
  readonly storages?: readonly ('disk' | 'memory')[];
  /** Default: three copies, two of which have to be in sync. */
  readonly settings?: TopicSettingsChange;
  /** What clients are connected with. Default: they give up soon. */
  readonly clients?: Pick<ClusterConnectOptions, 'limits' | 'attemptTimeoutMs' | 'scheme'>;
}

const GIVES_UP_SOON = { limits: IMPATIENT, attemptTimeoutMs: 1000 };

/** Publishers and subscribers that know all nodes, on topics of their own, until {@link Trial.end}. */
export class Trial {
  /** The topic on disk, or the only one. */
  readonly topic: string;
  readonly #stage: ClusterStage;
  readonly #topics: readonly string[];
  readonly #workloads: readonly Workload[];
  readonly #clients: readonly Client[];

  private constructor(
    stage: ClusterStage,
    topics: readonly string[],
    workloads: readonly Workload[],
    clients: readonly Client[],
  ) {
    this.#stage = stage;
    this.topic = topics[0]!;
    this.#topics = topics;
    this.#workloads = workloads;
    this.#clients = clients;
  }

  /** Resolves when every partition takes records. @param name of the topics, before their storage */
  static async start(stage: ClusterStage, name: string, options: TrialOptions = {}): Promise<Trial> {
    const { storages = ['disk', 'memory'], settings, clients: asked = GIVES_UP_SOON, ...rest } = options;
    const clients: Client[] = [];
    const connect = async (index: number): Promise<Client> => {
      const client = await connectFirst(stage, index, asked);
      clients.push(client);
      return client;
    };
    const { admin } = await connect(0);
    const topics = storages.map((storage) => `${name}-${storage}`);
    for (const [n, topic] of topics.entries()) {
      const kept = { storage: storages[n]!, retentionBytes: 256 * MiB, retentionMs: 0 };
      await admin.createTopic({
        name: topic,
        partitions: PARTITIONS,
        settings: { ...kept, replicationFactor: 3, minInsync: 2, ...settings },
      });
    }
    const load = { connect, keys: 12, depth: 2, pauseMs: 40, ...rest };
    const workloads = await Promise.all(topics.map((topic) => Workload.start({ ...load, topic })));
    const trial = new Trial(stage, topics, workloads, clients);
    await trial.more(20);
    return trial;
  }

  /** Resolves when every partition of every topic has acknowledged so many records more. */
  async more(records: number): Promise<void> {
    await Promise.all(this.#workloads.map((workload) => workload.more(records)));
  }

  /** The node that leads a partition of {@link topic} now. */
  async leader(partition = 0): Promise<StagedNode> {
    const alive = this.#stage.nodes.find(({ process }) => process.alive)!;
    const { partitions } = await this.#stage.describe(alive.nodeId, this.topic);
    return this.#stage.node(partitions[partition]!.leaderNodeId);
  }

  /**
   * Stops, reads the topics once more from each node by itself, and expects that every promise was kept.
   * @returns what happened, for what else there is to expect
   */
  async end(): Promise<Outcome> {
    const last: Record<string, Client> = {};
    for (const { nodeId } of this.#stage.nodes)
      last[`afterwards at ${nodeId}`] = await this.#stage.connect([nodeId]);
    const histories = await Promise.all(this.#workloads.map((workload) => workload.stop(last)));
    await Promise.all([...Object.values(last), ...this.#clients.slice(1)].map((client) => client.close()));
    for (const history of histories) expect(checkHistory(history)).toEqual([]);
    for (const topic of this.#topics) await this.#clients[0]!.admin.deleteTopic(topic);
    await this.#clients[0]!.close();
    return new Outcome(histories);
  }
}

/** What a trial has shown. */
class Outcome {
  readonly #histories: readonly History[];

  constructor(histories: readonly History[]) {
    this.#histories = histories;
  }

  /** Milliseconds without an acknowledgement from one of the partitions since a moment. */
  longestPauseMs(fromMs?: number): number {
    return Math.max(...this.#histories.map((history) => longestPause(history, fromMs).lengthMs));
  }
}

/** A client that knows all nodes and begins at the one of that number; every second one has its publishes forwarded. */
function connectFirst(stage: ClusterStage, index: number, options: ClusterConnectOptions): Promise<Client> {
  const ids = stage.nodes.map(({ nodeId }) => nodeId);
  const first = index % ids.length;
  return stage.connect([...ids.slice(first), ...ids.slice(0, first)], {
    ...options,
    direct: index % 2 === 0,
  });
}

/** Waits until every partition has a leader and all its copies are in sync, as every node that runs sees it. */
export function untilInSync(stage: ClusterStage): Promise<void> {
  return eventually('all copies in sync', async () => {
    for (const { nodeId, process } of stage.nodes) {
      if (!process.alive) continue;
      const { leaderless, underReplicated, nodes } = await stage.status(nodeId);
      if (leaderless + underReplicated > 0 || nodes.some(({ outOfSync }) => outOfSync > 0)) return false;
    }
    return true;
  });
}

/** Starts what a test that has failed left dead, and waits as {@link untilInSync}: the next test fails only for reasons of its own. */
export async function untilWhole(stage: ClusterStage): Promise<void> {
  const dead = stage.nodes.filter(({ process }) => !process.alive);
  await Promise.all(dead.map(({ process }) => process.restart()));
  await untilInSync(stage);
}
