import type { ChildProcess } from 'node:child_process';
import { execFileSync, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { stop } from './processes.ts';
import { readyLine } from './server-process.ts';

/** One side of the link. */
export interface Side {
  /** Network namespace. */
  readonly name: string;
  readonly address: string;
}

/** What is wrong with a link. */
export interface LinkFaults {
  /** Of the packets that each side receives, 0 to 99. */
  readonly lossPercent: number;
  /** Half of it in each direction. Default 0: as fast as the machine is; more needs Python and iptables. */
  readonly roundTripMs?: number;
}

const LINK = 'lossy';
const DELAY_TOOL = fileURLToPath(new URL('../../test-integration/support/network/delay.py', import.meta.url));
let made = 0;

/**
 * Two network namespaces joined by a link of 1,500 byte packets that loses some of what each side receives, and delays it. Root only; it
 * takes nothing of the machine's own network and goes with `await using`.
 */
export class LossyNetwork implements AsyncDisposable {
  readonly near: Side;
  readonly far: Side;
  readonly #delays: ChildProcess[] = [];

  private constructor(near: Side, far: Side) {
    this.near = near;
    this.far = far;
  }

  static async create(faults: LinkFaults): Promise<LossyNetwork> {
    made += 1;
    const name = `sluice-${process.pid}-${made}`;
    const subnet = `10.211.${made % 250}`;
    const network = new LossyNetwork(
      { name: `${name}-near`, address: `${subnet}.1` },
      { name: `${name}-far`, address: `${subnet}.2` },
    );
    try {
      network.#build(faults.lossPercent);
      await network.#delay(faults.roundTripMs ?? 0);
    } catch (error) {
      await network[Symbol.asyncDispose]();
      throw error;
    }
    return network;
  }

  /** Changes the loss of both sides. */
  setLoss(lossPercent: number): void {
    for (const { name } of [this.near, this.far]) {
      const rules = [
        'table inet loss',
        'flush table inet loss',
        'table inet loss { chain input { type filter hook input priority 0; policy accept;',
        lossPercent > 0 ? `iifname "${LINK}" numgen random mod 100 < ${lossPercent} drop` : '',
        '}; }',
      ];
      execFileSync('ip', ['netns', 'exec', name, 'nft', '-f', '-'], { input: `${rules.join('\n')}\n` });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#delays.map(stop));
    for (const { name } of [this.near, this.far]) {
      try {
        ip('netns', 'del', name);
      } catch {
        // It was never made, or is gone.
      }
    }
  }

  #build(lossPercent: number): void {
    const { near, far } = this;
    for (const side of [near, far]) ip('netns', 'add', side.name);
    ip('-n', near.name, 'link', 'add', LINK, 'type', 'veth', 'peer', 'name', LINK, 'netns', far.name);
    for (const side of [near, far]) {
      ip('-n', side.name, 'addr', 'add', `${side.address}/24`, 'dev', LINK);
      ip('-n', side.name, 'link', 'set', LINK, 'up');
      ip('-n', side.name, 'link', 'set', 'lo', 'up');
    }
    this.setLoss(lossPercent);
  }

  async #delay(roundTripMs: number): Promise<void> {
    if (roundTripMs === 0) return;
    for (const { name } of [this.near, this.far]) {
      const line = ['netns', 'exec', name, 'python3', DELAY_TOOL, String(roundTripMs / 2)];
      const child = spawn('ip', line, { stdio: ['ignore', 'pipe', 'pipe'] });
      this.#delays.push(child);
      await readyLine(child, /ready/, 'delay');
    }
  }
}

function ip(...words: string[]): void {
  execFileSync('ip', words, { stdio: ['ignore', 'ignore', 'pipe'] });
}
