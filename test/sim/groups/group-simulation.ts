import type { PartitionState } from '../../../src/coordination/cluster.ts';
import { Nemesis } from '../nemesis.ts';
import type { RunResult, SimView } from '../sim-run.ts';
import { SimRun } from '../sim-run.ts';
import { ClientTrouble } from './client-trouble.ts';
import { findDeadLetters } from './dead-letters.ts';
import { GroupChecker } from './group-checker.ts';
import type { GroupCluster } from './group-cluster.ts';
import { SOURCE } from './group-cluster.ts';
import type { GroupNodeCluster } from './group-node.ts';
import { GroupNode } from './group-node.ts';
import type { GroupPlan, GroupSimOptions } from './group-plan.ts';
import { groupPlanFor } from './group-plan.ts';
import { QueueChecker } from './queue-checker.ts';
import { SimConsumer } from './sim-consumer.ts';
import { SimInspector } from './sim-inspector.ts';
import { SimMember } from './sim-member.ts';
import { SimSource } from './sim-source.ts';
import { StoredCopies } from './stored-copies.ts';
import type { OnReceived } from './watched-queues.ts';

/** How a run with groups and queues went. */
export interface GroupSimResult extends RunResult {
  /** Batches that were acknowledged to who published them. */
  readonly acknowledged: number;
  /** Times that a leader was elected, all partitions of all topics. */
  readonly epochs: number;
  readonly commits: number;
  /** Commits that were refused, as a zombie's. */
  readonly refusedCommits: number;
  readonly assignments: number;
  readonly leases: number;
  readonly redeliveries: number;
  readonly deadLetters: number;
}

const START_MS = 60_000;
const CONVERGE_MS = 120_000;

/** A cluster with a consumer group and queues on one topic, its clients and its faults, all from one seed. */
export class GroupSimulation extends SimRun<GroupPlan> implements GroupCluster, GroupNodeCluster {
  readonly servers: readonly GroupNode[];
  readonly groups: GroupChecker;
  readonly queues: ReadonlyMap<string, QueueChecker>;
  readonly #stored: StoredCopies;
  readonly #sources: readonly SimSource[];
  readonly #members: readonly SimMember[];
  readonly #consumers: readonly SimConsumer[];
  readonly #inspector: SimInspector;
  readonly #nemesis: Nemesis;
  readonly #trouble: ClientTrouble;
  #deadLetters = 0;

  constructor(options: GroupSimOptions, view: SimView = {}) {
    super(options.seed, view, (random) => groupPlanFor(options, random));
    const { nodes, partitions, queues, settings, sources, members, consumers } = this.plan;
    this.groups = new GroupChecker(partitions);
    this.queues = new Map(queues.map(({ name, maxAttempts }) => [name, new QueueChecker(name, maxAttempts)]));
    this.#stored = new StoredCopies(settings.minInsync, (nodeId, topicId, partition) =>
      this.servers.find(({ name }) => name === nodeId)?.copy(topicId, partition),
    );
    this.servers = nodes.map(
      ({ name, zone, clockRate }) =>
        new GroupNode({
          ...{ machine: this.watchedMachine(name, clockRate), zone, events: this.events },
          ...{ random: this.own(), cluster: this, etcd: this.etcd, plan: this.plan },
        }),
    );
    const parts = (name: string) => [this, this.machine(name), this.own(), () => this.events.nowMs] as const;
    this.#sources = sources.map((name) => new SimSource(name, ...parts(name)));
    this.#members = members.map((plan) => new SimMember(plan, ...parts(plan.name)));
    this.#consumers = consumers.map((plan) => new SimConsumer(plan, ...parts(plan.name)));
    this.#inspector = new SimInspector('inspector', ...parts('inspector'));
    this.#nemesis = new Nemesis(this.#target(), this.own(), options.faults);
    const clients = [...this.#members, ...this.#consumers];
    this.#trouble = new ClientTrouble(clients, this.events, this.own(), (text) => this.trace(text));
    this.#watchStates();
  }

  readonly onReceived: OnReceived = ({ group }, { batches = [] }) => {
    for (const { partition = 0, grant = 0n, leases = [] } of batches) {
      this.trace(
        () =>
          `answered: ${group} grant ${grant} of p${partition}: ${leases.map(({ first, end }) => `${first}-${end}`).join(' ')}`,
      );
      this.queues.get(group)?.answered(partition, Number(grant), this.events.nowMs);
    }
  };

  destroyed(nodeId: string): void {
    this.#stored.destroyed(nodeId);
  }

  /** Runs from start to end. Never throws. */
  async run(): Promise<GroupSimResult> {
    const result = await this.runToEnd();
    const queues = [...this.queues.values()];
    return {
      ...result,
      acknowledged: this.#sources.reduce((sum, { acknowledged }) => sum + acknowledged, 0),
      epochs: this.#stored.epochs,
      commits: this.groups.commits,
      refusedCommits: this.groups.refusals,
      assignments: this.groups.assignments,
      leases: queues.reduce((sum, { leases }) => sum + leases, 0),
      redeliveries: queues.reduce((sum, { redeliveries }) => sum + redeliveries, 0),
      deadLetters: this.#deadLetters,
    };
  }

  protected async runAll(): Promise<void> {
    const { partitions, settings, queues, chaosMs } = this.plan;
    for (const node of this.servers) node.start();
    this.servers[0]!.makeTopic({ name: SOURCE, partitions, settings });
    await this.until('the topic is led', START_MS, () => this.#led(SOURCE) === partitions);
    this.#inspector.configure(queues);
    await this.until('queues are there', START_MS, () => this.#inspector.configured === queues.length);
    for (const source of this.#sources) source.start(partitions);
    for (const client of [...this.#members, ...this.#consumers]) client.start();
    this.#nemesis.start(chaosMs);
    this.#trouble.start();
    const chaosEndMs = this.events.nowMs + chaosMs;
    while (await this.step(chaosEndMs));
    this.#nemesis.heal();
    this.#trouble.heal();
    for (const source of this.#sources) source.stop();
    await this.until('everything is published', CONVERGE_MS, () => this.#isPublished());
    this.#inspector.start(queues);
    await this.until('everything comes to rest', CONVERGE_MS, () => this.#isAtRest());
    await this.#checkRecords();
  }

  /** What is to be seen is seen by the clients. */
  protected look(): void {}

  protected describe(): string {
    const waiting = this.#sources.filter(({ isIdle }) => !isIdle).map(({ name }) => name);
    return `${this.#inspector.unsettled.join('; ')}; waiting ${waiting.join(' ')}; led ${this.#led(SOURCE)}`;
  }

  #isPublished(): boolean {
    return this.#stored.isWhole && this.#sources.every(({ isIdle }) => isIdle);
  }

  /** Of a partition that is between two leaders no record could be checked. */
  #isAtRest(): boolean {
    return this.#inspector.unsettled.length === 0 && this.#stored.isReadable;
  }

  async #checkRecords(): Promise<void> {
    const deadLetters = this.servers.flatMap((node) => node.led(`dlq.${SOURCE}`));
    this.#deadLetters = await findDeadLetters(deadLetters, this.queues);
    const ends: number[] = [];
    for (const node of this.servers) {
      for (const { partition, highWatermark } of node.led(SOURCE)) ends[partition] = highWatermark;
    }
    for (const queue of this.queues.values()) queue.checkAll(ends);
  }

  #led(topic: string): number {
    return this.servers.reduce((sum, node) => sum + node.led(topic).length, 0);
  }

  #target(): ConstructorParameters<typeof Nemesis>[0] {
    return {
      events: this.events,
      network: this.network,
      nodes: this.servers,
      checker: this.#stored,
      clients: [...this.#sources, ...this.#members, ...this.#consumers].map(({ name }) => name),
      setEtcd: (isUp) => this.setEtcd(isUp),
      // What waits for a time of day, as backoffs do, waits longer when a clock is set back.
      clockJumpsMs: [-5000, 5000],
      compactEtcd: () => this.etcd.compact(),
      trace: (text) => this.trace(text),
    };
  }

  #watchStates(): void {
    this.etcd.watch((events) => {
      for (const { kv } of events) {
        const found = /\/partitions\/([^/]+)\/(\d+)$/.exec(kv.key.toString());
        if (!found || kv.value.length === 0) continue;
        const state = JSON.parse(kv.value.toString()) as PartitionState;
        const { leader, leaderEpoch, isr } = state;
        this.trace(
          () =>
            `etcd: ${found[1]!}/${found[2]!} leader ${leader ?? '-'} epoch ${leaderEpoch} isr ${isr.join(',')}`,
        );
        this.#stored.changed(found[1]!, Number(found[2]), state);
      }
    });
  }
}

/** Runs one seed. */
export function simulateGroups(options: GroupSimOptions, view: SimView = {}): Promise<GroupSimResult> {
  return new GroupSimulation(options, view).run();
}
