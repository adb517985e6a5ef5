import type { Timer } from '../../kernel/clock.ts';
import { asSluiceError, SluiceError } from '../../kernel/errors.ts';
import { Backoff } from '../../kernel/backoff.ts';
import type { BrokerUrl } from './broker-url.ts';
import type { Dial } from './connection-supervisor.ts';
import type { ClientPorts } from '../ports.ts';
import type { Session } from './session.ts';

/** A producer, as its connection to one node sees it. */
export interface LinkUser {
  /** There is a session with the node. */
  sessionUp(session: Session): void;
  /** It is gone, and what was in flight on it has been told so. */
  sessionDown(session: Session): void;
  /** The node cannot be reached now. @param lost it could until now */
  unreachable(lost: boolean): void;
  /** Whether the session was of use since this was last asked, or is now. */
  usedLately(): boolean;
}

/** What a link needs of the client. */
export interface LinkHost {
  readonly dial: Dial;
  readonly ports: ClientPorts;
  /** Where the node is now; none: it is not known, or needs no connection of its own. */
  urlsOf(nodeId: string): readonly BrokerUrl[];
  /** The cluster the node has to be of. */
  readonly clusterId: string | undefined;
}

/** A session nobody has used for so long is closed, milliseconds; it takes up to twice that until it is seen. */
const IDLE_MS = 30_000;
/** Waits after a node could not be reached, or its connection was lost. */
const REDIAL = { minMs: 1000, maxMs: 30_000 };

/**
 * The client's connection to one node besides the one it lives on, shared by its producers. There is none until somebody wants it, and
 * it is closed when nobody has used it for a while. What cannot be reached is left alone for a while; others can be asked meanwhile.
 *
 *     idle ── want ──> dialling ── WELCOME ──> up ── not used ──> idle
 *                         └── failed ──> resting <── lost ──┘    (resting ── time is over ──> idle)
 */
export class NodeLink {
  readonly nodeId: string;
  readonly #host: LinkHost;
  readonly #backoff: Backoff;
  readonly #users = new Set<LinkUser>();
  readonly #stop = new AbortController();
  #state: 'idle' | 'dialling' | 'up' | 'resting' | 'over' = 'idle';
  #session: Session | undefined;
  /** Until the session is looked at again, or the rest is over. */
  #timer: Timer | undefined;

  constructor(nodeId: string, host: LinkHost) {
    this.nodeId = nodeId;
    this.#host = host;
    this.#backoff = new Backoff(REDIAL, host.ports.random);
  }

  /** Tells `user` about sessions from now on, the present one included. @returns ends that; idempotent */
  attach(user: LinkUser): () => void {
    this.#users.add(user);
    if (this.#session !== undefined) user.sessionUp(this.#session);
    return () => void this.#users.delete(user);
  }

  /** Somebody has something for the node: connects, where that is of use now. */
  want(): void {
    if (this.#state !== 'idle') return;
    const urls = this.#host.urlsOf(this.nodeId);
    if (urls.length === 0) return;
    this.#state = 'dialling';
    this.#dial(urls).then(
      (session) => this.#adopt(session),
      () => this.#failed(false),
    );
  }

  /** Closes the session there is; what is in flight is lost. */
  disconnect(): void {
    this.#session?.close();
  }

  /** No session any more. Idempotent. */
  close(): void {
    this.#state = 'over';
    this.#timer?.cancel();
    this.#stop.abort();
    this.disconnect();
  }

  get #isOver(): boolean {
    return this.#state === 'over';
  }

  async #dial(urls: readonly BrokerUrl[]): Promise<Session> {
    let last: SluiceError | undefined;
    for (const url of urls) {
      try {
        const session = await this.#host.dial(url, this.#stop.signal);
        if (session.nodeId === this.nodeId && session.clusterId === this.#host.clusterId) return session;
        session.close();
        last = new SluiceError('UNAVAILABLE', `${url.text} is not ${this.nodeId} but ${session.nodeId}`);
      } catch (error) {
        last = asSluiceError(error, 'CONNECT_FAILED');
      }
    }
    throw last ?? new SluiceError('UNAVAILABLE', `${this.nodeId} has no URL`);
  }

  #adopt(session: Session): void {
    if (this.#isOver) session.close();
    else if (!session.alive) this.#failed(false);
    else {
      this.#state = 'up';
      this.#session = session;
      session.onGone = () => this.#gone(session);
      // What is in flight goes by way of the home connection, to whoever leads by then.
      session.onSilent = () => session.close(0, 'nothing was heard');
      // It hands over what it leads; nothing new is sent to it.
      session.onGoAway = () => this.#tellUnreachable(false);
      this.#lookLater(session);
      for (const user of [...this.#users]) user.sessionUp(session);
    }
  }

  #failed(lost: boolean): void {
    if (this.#isOver) return;
    this.#rest();
    this.#tellUnreachable(lost);
  }

  #tellUnreachable(lost: boolean): void {
    for (const user of [...this.#users]) user.unreachable(lost);
  }

  #gone(session: Session): void {
    if (session !== this.#session) return;
    this.#session = undefined;
    this.#timer?.cancel();
    for (const user of [...this.#users]) user.sessionDown(session);
    this.#failed(true);
  }

  #rest(): void {
    this.#state = 'resting';
    this.#timer = this.#host.ports.clock.setTimer(this.#backoff.nextMs(), () => {
      this.#state = 'idle';
    });
  }

  #lookLater(session: Session): void {
    this.#timer = this.#host.ports.clock.setTimer(IDLE_MS, () => {
      const used = [...this.#users].filter((user) => user.usedLately());
      if (used.length > 0) {
        this.#backoff.reset();
        this.#lookLater(session);
      } else this.#leave(session);
    });
  }

  /** Nothing is in flight: users let go first, so that nothing comes to be. */
  #leave(session: Session): void {
    this.#state = 'idle';
    this.#session = undefined;
    for (const user of [...this.#users]) user.sessionDown(session);
    session.close();
  }
}
