import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { StartedTestContainer } from 'testcontainers';
import { eventually } from '../support/eventually.ts';
import type { Containers } from './containers.ts';

/** Where a node is for its clients. */
export interface NodePlace {
  readonly nodeId: string;
  /** UDP, on this machine. */
  readonly port: number;
  /** Folder of this machine in which its containers look for their {@link setClock}. */
  readonly clockFolder: string;
}

/** Longer than a node takes to notice that its clock was set. */
const CLOCK_MS = 10_000;
/** A node tells its time in seconds. */
const CLOCK_EXACT_MS = 2000;

/**
 * Says by how much the wall clocks of the processes that look into a folder shall be wrong.
 * @param offsetMs positive: fast
 * @see docker/clock/Dockerfile
 */
export function setClock(folder: string, offsetMs: number): void {
  const file = join(folder, 'offset');
  // Nobody reads half of it.
  writeFileSync(`${file}.new`, `${offsetMs < 0 ? '-' : '+'}${Math.abs(offsetMs) / 1000}\n`);
  renameSync(`${file}.new`, file);
}

/**
 * One node in a container, and beside it a container that owns its network and holds its data, as the pause container of a pod does: so both
 * survive the node, and can be broken from there.
 *
 *     stand (network, nft, delay, /data) <── shares ── node (sluice serve)
 */
export class ChaosNode {
  readonly nodeId: string;
  /** Of the node's clients, on this machine. */
  readonly url: string;
  /** In the network of the cluster. */
  readonly address: string;
  readonly #stand: StartedTestContainer;
  readonly #node: StartedTestContainer;
  readonly #containers: Containers;
  readonly #clockFolder: string;
  #isRunning = true;

  constructor(
    { nodeId, port, clockFolder }: NodePlace,
    address: string,
    stand: StartedTestContainer,
    node: StartedTestContainer,
    containers: Containers,
  ) {
    this.nodeId = nodeId;
    this.url = `quic://127.0.0.1:${port}`;
    this.address = address;
    this.#stand = stand;
    this.#node = node;
    this.#containers = containers;
    this.#clockFolder = clockFolder;
  }

  /** Whether the process is there, frozen or not. */
  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    this.#isRunning = false;
    await this.#containers.kill(this.#node.getId());
  }

  /** SIGTERM; resolves when it has drained and ended. @throws Error when it did not end with 0 */
  async stop(): Promise<void> {
    this.#isRunning = false;
    const code = await this.#containers.stop(this.#node.getId());
    if (code !== 0) throw new Error(`${this.nodeId} ended with ${code}:\n${await this.log()}`);
  }

  /** Again, after {@link kill} or {@link stop}. */
  async start(): Promise<void> {
    await this.#containers.start(this.#node.getId());
    this.#isRunning = true;
  }

  /** No process of it runs any more until {@link thaw}. */
  freeze(): Promise<void> {
    return this.#containers.pause(this.#node.getId());
  }

  thaw(): Promise<void> {
    return this.#containers.unpause(this.#node.getId());
  }

  /** Share of a core that it may use. @param cores undefined: no bound */
  limitCpu(cores: number | undefined): Promise<void> {
    return this.#containers.limitCpu(this.#node.getId(), cores);
  }

  /** Cuts, drops or delays: rules of nft in the chains `in` and `out`, instead of those before. */
  async breakNetwork(rules: {
    readonly in?: readonly string[];
    readonly out?: readonly string[];
  }): Promise<void> {
    const chain = (hook: string, lines: readonly string[] = []): string =>
      `chain ${hook} { type filter hook ${hook} priority -200; ${lines.map((line) => `${line};`).join(' ')} };`;
    const table = `table inet chaos { ${chain('input', rules.in)} ${chain('output', rules.out)} }`;
    await this.run(`nft 'delete table inet chaos' 2>/dev/null; nft '${table}'`);
  }

  /** Everything that arrives is late. @param ms 0: not any more */
  async delay(ms: number): Promise<void> {
    await this.run('pkill -f delay.py 2>/dev/null || kill $(cat /tmp/delay.pid) 2>/dev/null || true');
    if (ms > 0)
      await this.run(
        `nohup delay.py ${ms} >/tmp/delay.log 2>&1 & echo $! > /tmp/delay.pid; ` +
          'for i in $(seq 50); do grep -q ready /tmp/delay.log && exit 0; sleep 0.2; done; cat /tmp/delay.log; exit 1',
      );
  }

  /** Ends what {@link breakNetwork} and {@link delay} have done. */
  async healNetwork(): Promise<void> {
    await this.delay(0);
    await this.run(`nft 'delete table inet chaos' 2>/dev/null || true`);
  }

  /** Leaves no room for its data. */
  async fillDisk(): Promise<void> {
    await this.run('dd if=/dev/zero of=/data/filler bs=1M 2>/dev/null || true');
  }

  async emptyDisk(): Promise<void> {
    await this.run('rm -f /data/filler');
  }

  /** Loses everything it has stored; only while it does not run. */
  async loseDisk(): Promise<void> {
    await this.run('find /data -mindepth 1 -delete');
  }

  /**
   * Sets its wall clock and nothing else. Resolves when the node has noticed; one that does not run will when it starts.
   * @param offsetMs positive: fast; 0: right
   * @throws Error when the node does not go by the clock that was set
   */
  async setClock(offsetMs: number): Promise<void> {
    setClock(this.#clockFolder, offsetMs);
    if (!this.isRunning) return;
    const isSet = async (): Promise<boolean> => {
      const wrongByMs = (await this.#tellTime()) - Date.now();
      return Math.abs(wrongByMs - offsetMs) < CLOCK_EXACT_MS;
    };
    await eventually(`the clock of ${this.nodeId}`, () => isSet().catch(() => false), CLOCK_MS);
  }

  /** How often it has ceased to be a member of the cluster since it was started. */
  async leasesLost(): Promise<number> {
    const metrics = await this.#get('metrics', 'read().decode()');
    return Number(/^sluice_cluster_leases_lost_total (\d+)$/m.exec(metrics)![1]);
  }

  /** The end of what it has logged. */
  log(): Promise<string> {
    return this.#containers.log(this.#node.getId());
  }

  /** In the container beside it. @throws Error when it fails */
  async run(script: string): Promise<string> {
    const { exitCode, output } = await this.#stand.exec(['sh', '-c', script]);
    if (exitCode !== 0) throw new Error(`${script} ended with ${exitCode}: ${output}`);
    return output;
  }

  /** Its wall clock as it tells HTTP clients, milliseconds. */
  async #tellTime(): Promise<number> {
    return Date.parse((await this.#get('healthz', 'headers["date"]')).trim());
  }

  /** @param part of the answer, in Python's words */
  #get(path: string, part: string): Promise<string> {
    return this.run(
      `python3 -c 'import urllib.request as u; print(u.urlopen("http://127.0.0.1:7451/${path}").${part})'`,
    );
  }
}
