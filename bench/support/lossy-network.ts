import { execFileSync } from 'node:child_process';

/** One side of the link. */
export interface Side {
  /** Network namespace. */
  readonly name: string;
  readonly address: string;
}

const LINK = 'lossy';
let made = 0;

/**
 * Two network namespaces joined by a link of 1,500 byte packets that loses some of what each side receives. Root only; it takes
 * nothing of the machine's own network and goes with `await using`.
 */
export class LossyNetwork implements AsyncDisposable {
  readonly near: Side;
  readonly far: Side;

  private constructor(near: Side, far: Side) {
    this.near = near;
    this.far = far;
  }

  /** @param lossPercent of the packets that each side receives, 0 to 99 */
  static create({ lossPercent }: { readonly lossPercent: number }): Promise<LossyNetwork> {
    made += 1;
    const name = `sluice-${process.pid}-${made}`;
    const subnet = `10.211.${made % 250}`;
    const network = new LossyNetwork(
      { name: `${name}-near`, address: `${subnet}.1` },
      { name: `${name}-far`, address: `${subnet}.2` },
    );
    try {
      network.#build(lossPercent);
    } catch (error) {
      network.#remove();
      throw error;
    }
    return Promise.resolve(network);
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

  [Symbol.asyncDispose](): Promise<void> {
    this.#remove();
    return Promise.resolve();
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

  #remove(): void {
    for (const { name } of [this.near, this.far]) {
      try {
        ip('netns', 'del', name);
      } catch {
        // It was never made, or is gone.
      }
    }
  }
}

function ip(...words: string[]): void {
  execFileSync('ip', words, { stdio: ['ignore', 'ignore', 'pipe'] });
}
