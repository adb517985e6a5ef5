import type { Subscription } from '../../../broker/broker.ts';
import type { Subscriber } from '../../../broker/ports.ts';
import { SluiceError } from '../../../kernel/errors.ts';
import type { PartitionReader } from '../../../partition/reader.ts';
import type { ClientMessage } from './client-message.ts';
import type { Feed, FeedHost, Refused } from './feed.ts';
import { ReaderPump } from './reader-pump.ts';
import type { PlainRequest } from './stream-request.ts';

/** A stream of everything in a topic from a place on: a subscription like any other. */
export class PlainFeed implements Feed, Subscriber {
  readonly connection: string;
  readonly clientId = '';
  readonly subscriptionId = 0;
  readonly name = '';
  readonly delivery = 'ordered';
  readonly paused = false;
  readonly #host: FeedHost;
  readonly #request: PlainRequest;
  readonly #pump: ReaderPump;
  #subscription: Subscription | undefined;
  #isOver = false;

  constructor(host: FeedHost, request: PlainRequest) {
    this.#host = host;
    this.#request = request;
    this.connection = host.remoteAddress;
    const { encoding, credit = Infinity } = request;
    // The readers leave out keys that are not wanted.
    this.#pump = new ReaderPump(host, { encoding, credit, matchesKey: undefined });
  }

  async open(): Promise<Readonly<Record<string, unknown>>> {
    const { topic, filter, start, positions: resume, partitions } = this.#request;
    const { context, principal } = this.#host;
    const wanted = { filter, start, resume, partitions, subscriber: this };
    const subscription = await context.broker.subscribe(principal, wanted);
    if (this.#isOver) {
      subscription.close();
      throw new SluiceError('CLOSED', 'the stream was ended before it was open');
    }
    this.#subscription = subscription;
    const positions = this.#pump.positions.map(({ partition, offset }) => ({ partition, offset }));
    return { topic, positions };
  }

  blockedMs(): number {
    return 0;
  }

  takePartition(reader: PartitionReader): void {
    if (this.#isOver) reader.close();
    else this.#pump.add(reader);
  }

  wake(): void {
    this.#pump.wake();
  }

  tick(): void {
    // Nothing depends on time.
  }

  position(): string {
    return this.#pump.positionText();
  }

  take({ credit, ack, commit, nack, reject, extend, release }: ClientMessage): Promise<readonly Refused[]> {
    if (credit !== undefined) this.#pump.grant(credit);
    if (!(ack ?? commit ?? nack ?? reject ?? extend ?? release)) return Promise.resolve([]);
    const message = 'only groups and queues take acknowledgements';
    return Promise.resolve([{ of: null, code: 'UNSUPPORTED', message }]);
  }

  close(): Promise<void> {
    this.#isOver = true;
    this.#pump.close();
    this.#subscription?.close();
    return Promise.resolve();
  }
}
