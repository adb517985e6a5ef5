import { asSluiceError } from '../../../src/kernel/errors.ts';
import { RecordBatchEncoder } from '../../../src/wire/record-batch-encoder.ts';
import { SOURCE } from './group-cluster.ts';
import { SimClient } from './sim-client.ts';

const EVERY_MS = 250;
const RETRY_MS = 100;

/** Publishes to the source, each batch until it is acknowledged: some may be there more than once. */
export class SimSource extends SimClient {
  readonly #encoder = new RecordBatchEncoder();
  #number = 0;
  #isStopped = false;
  #isIdle = true;
  /** Batches that were acknowledged. */
  acknowledged = 0;

  /** Whether all it took is acknowledged. */
  get isIdle(): boolean {
    return this.#isIdle;
  }

  /** @param partitions of the source */
  start(partitions: number): void {
    this.#run(partitions).catch((error: unknown) => this.cluster.fail(error));
  }

  /** Takes nothing new. */
  stop(): void {
    this.#isStopped = true;
  }

  async #run(partitions: number): Promise<void> {
    while (!this.#isStopped) {
      this.#isIdle = false;
      await this.#publish(this.random.below(partitions), this.#batch());
      this.#isIdle = true;
      await this.pause(2 * EVERY_MS * this.random.fraction());
    }
  }

  async #publish(partition: number, batch: Buffer): Promise<void> {
    for (;;) {
      try {
        const offset = await this.call((server) => server.publish(SOURCE, partition, Buffer.from(batch)));
        this.cluster.trace(() => `${this.name} published at ${partition}@${offset}`);
        this.acknowledged++;
        return;
      } catch (thrown) {
        this.cluster.trace(() => `${this.name} cannot publish: ${asSluiceError(thrown).code}`);
      }
      await this.pause(RETRY_MS);
    }
  }

  #batch(): Buffer {
    const count = this.random.between(1, 5);
    for (let nth = 0; nth < count; nth++) {
      const number = this.#number++;
      const [key, value] = [Buffer.from(`k${number % 5}`), Buffer.from(`${this.name}:${number}`)];
      this.#encoder.append(key, value, [], this.machine.clock.now());
    }
    return this.#encoder.finish({ codec: 'none' });
  }
}
