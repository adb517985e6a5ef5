import type { Principal } from '../../../broker/ports.ts';
import { asSluiceError, SluiceError } from '../../../kernel/errors.ts';
import { TurnAccount } from '../../turn-account.ts';
import { credentialOver } from '../going.ts';
import type { Feed, FeedHost, Outlet, StreamContext } from './feed.ts';
import { GroupFeed } from './group-feed.ts';
import { PlainFeed } from './plain-feed.ts';
import { QueueFeed } from './queue-feed.ts';
import type { StreamRequest } from './stream-request.ts';

/** An outlet as its stream sees it. */
export interface ClientOutlet extends Outlet {
  /** Nothing was written before; from now on it is writable while there is room, and calls `onRoom` when there is again. */
  begin(hello: Readonly<Record<string, unknown>>, onRoom: () => void, id: () => string): void;
  /** Says that the client is alive, where nothing else does. @returns false when nothing was heard of the client for too long */
  tick(position: () => string | undefined): boolean;
  /** Tells the client why it ends, and lets it go. Idempotent. */
  finish(error: SluiceError): void;
}

/** Who opens a stream, and from where. */
export interface StreamClient {
  readonly principal: Principal;
  /** `host:port` */
  readonly remoteAddress: string;
}

/** A stream of one client from its opening to its end, whatever it carries and on what. */
export class LiveStream implements FeedHost {
  readonly context: StreamContext;
  readonly principal: Principal;
  readonly remoteAddress: string;
  readonly outlet: ClientOutlet;
  readonly account = new TurnAccount();
  readonly feed: Feed;
  /** Resolves when all that it held is given back. */
  readonly closed: Promise<void>;
  #resolveClosed!: () => void;
  #failure: SluiceError | undefined;
  #isOver = false;

  constructor(context: StreamContext, client: StreamClient, request: StreamRequest, outlet: ClientOutlet) {
    this.context = context;
    this.principal = client.principal;
    this.remoteAddress = client.remoteAddress;
    this.outlet = outlet;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.feed = feedOf(this, request);
  }

  /** Opens what the client wants, and begins with `start`. @throws what it is refused with; it is over then */
  async open(start: () => void): Promise<void> {
    let hello: Readonly<Record<string, unknown>>;
    try {
      hello = await this.feed.open();
      if (this.#isOver) throw this.#failure ?? new SluiceError('CLOSED', 'the client has gone');
    } catch (error) {
      this.gone();
      throw this.#failure ?? asSluiceError(error);
    }
    start();
    this.outlet.begin(
      hello,
      () => this.feed.wake(),
      () => this.feed.position() ?? '',
    );
    this.feed.wake();
  }

  end(error: SluiceError): void {
    if (this.#isOver) return;
    this.#failure = error;
    this.context.counters.countEnded(error.code);
    this.outlet.finish(error);
    this.gone();
  }

  /** The client is no more. Idempotent. */
  gone(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    void this.feed.close().then(this.#resolveClosed);
  }

  /** A second has passed. */
  tick(): void {
    if (!this.context.broker.isStillValid(this.principal)) {
      this.end(credentialOver());
    } else if (!this.outlet.tick(() => this.feed.position())) {
      this.end(new SluiceError('TIMEOUT', 'nothing was heard of the client'));
    } else this.feed.tick();
  }
}

function feedOf(host: FeedHost, request: StreamRequest): Feed {
  switch (request.kind) {
    case 'plain':
      return new PlainFeed(host, request);
    case 'group':
      return new GroupFeed(host, request);
    case 'queue':
      return new QueueFeed(host, request);
  }
}
