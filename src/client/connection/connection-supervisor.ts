import type { Clock } from '../../kernel/clock.ts';
import { abortableDelay } from '../../kernel/clock.ts';
import { asSluiceError, SluiceError } from '../../kernel/errors.ts';
import type { ErrorCode } from '../../kernel/errors.ts';
import { Backoff } from '../../kernel/backoff.ts';
import { withDeadline } from '../deadline.ts';
import type { BrokerUrl } from './broker-url.ts';
import { parseBrokerUrl, readableUrls } from './broker-url.ts';
import type { ResolvedOptions } from './connect-options.ts';
import { Events } from '../events.ts';
import type { ClientPorts } from '../ports.ts';
import type { Session } from './session.ts';

/** Something that lives on the client's connection and moves with it: a producer, a subscription. */
export interface Attachment {
  /** There is a session to use from now on, instead of the one before. */
  sessionUp(session: Session): void;
  /** The session is gone; another will come. */
  sessionDown(session: Session, error: SluiceError): void;
  /** No session will come any more. */
  closed(error: SluiceError): void;
}

/** What a client reports about its connection. */
export interface ClientEvents {
  /** A broker said WELCOME. */
  connected: { readonly url: string; readonly nodeId: string };
  /** The connection is gone; the client goes on trying. */
  disconnected: { readonly url: string; readonly error: SluiceError };
  /** A round through all URLs failed; the next one begins after `delayMs`. */
  retrying: { readonly attempt: number; readonly delayMs: number; readonly error: SluiceError };
  /** The broker is draining: the client moves to another one before this connection ends. */
  goaway: { readonly url: string; readonly reason: string };
  /** The client is closed for good: `error` is undefined when `close()` was called. */
  closed: { readonly error: SluiceError | undefined };
}

/** Opens a session at one URL. */
export type Dial = (url: BrokerUrl, signal: AbortSignal) => Promise<Session>;

/** Errors after which trying again without another configuration is of no use. */
const HOPELESS: ReadonlySet<ErrorCode> = new Set([
  'UNAUTHENTICATED',
  'FORBIDDEN',
  'VERSION_MISMATCH',
  'CERTIFICATE_REJECTED',
  'INVALID_CONFIG',
  'INVALID_ARGUMENT',
  'UNSUPPORTED',
]);
/** How long a session that another has replaced may still finish what is on its way, milliseconds. */
const RETIRE_MS = 5000;
/** A session that lasts shorter than this does not count as a success, milliseconds. */
const FLAP_MS = 1000;

/**
 * Keeps one session up: connects, comes back after a loss, moves on GOAWAY, and tells the attachments.
 *
 *     start ─> dialling ── WELCOME ──> up ── lost ──> dialling (backoff) ─> up …
 *                                       ├─ silent, and other nodes known ──> dialling those
 *                                       └─ GOAWAY ─> dialling while the old session finishes ─> up on the new one
 */
export class ConnectionSupervisor {
  readonly events = new Events<ClientEvents>();
  readonly #options: ResolvedOptions;
  readonly #clock: Clock;
  readonly #backoff: Backoff;
  readonly #dial: Dial;
  readonly #attachments = new Set<Attachment>();
  readonly #stop = new AbortController();
  readonly #sessions = new Set<Session>();
  #session: Session | undefined;
  #waiting: { resolve(session: Session): void; reject(error: SluiceError): void }[] = [];
  #dialling = false;
  #ended: SluiceError | undefined;
  #nextUrl = 0;
  #upSinceMs = 0;

  constructor(options: ResolvedOptions, ports: ClientPorts, dial: Dial) {
    this.#options = options;
    this.#clock = ports.clock;
    this.#backoff = new Backoff(options.backoff, ports.random);
    this.#dial = dial;
  }

  /** The session to use now; undefined while there is none. */
  get session(): Session | undefined {
    return this.#session;
  }

  /** Why the client is closed; undefined while it is not. */
  get ended(): SluiceError | undefined {
    return this.#ended;
  }

  /**
   * Makes the first connection.
   *
   * @throws TIMEOUT, CANCELLED; UNAUTHENTICATED, CERTIFICATE_REJECTED and the like when every URL failed in such a way
   */
  async start(): Promise<void> {
    const { signal, timeoutMs } = this.#options;
    let last: SluiceError | undefined;
    const off = this.events.on('retrying', ({ error }) => {
      last = error;
    });
    const onAbort = (): void => this.end(new SluiceError('CANCELLED', 'connecting was given up'));
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      if (signal?.aborted === true) throw new SluiceError('CANCELLED', 'connecting was given up');
      const connected = this.whenUp();
      this.#redial(this.#options.urls, true);
      await withDeadline(this.#clock, timeoutMs, connected, () => this.#tookTooLong(last));
    } catch (error) {
      const known = asSluiceError(error);
      this.end(known);
      throw known;
    } finally {
      off();
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** The session, now or when there is one. @throws what ended the client */
  whenUp(): Promise<Session> {
    if (this.#session !== undefined) return Promise.resolve(this.#session);
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** Tells `attachment` about sessions from now on, the present one included. */
  attach(attachment: Attachment): void {
    this.#attachments.add(attachment);
    if (this.#session !== undefined) attachment.sessionUp(this.#session);
    else if (this.#ended !== undefined) attachment.closed(this.#ended);
  }

  detach(attachment: Attachment): void {
    this.#attachments.delete(attachment);
  }

  /** Closes every session and tells everybody. Idempotent. @param error why; undefined when the user asked for it */
  end(error?: SluiceError): void {
    if (this.#ended !== undefined) return;
    const told = error ?? new SluiceError('CLOSED', 'the client is closed');
    this.#ended = told;
    this.#session = undefined;
    this.#stop.abort();
    for (const attachment of [...this.#attachments]) attachment.closed(told);
    this.#attachments.clear();
    for (const session of this.#sessions) session.close();
    for (const waiting of this.#waiting.splice(0)) waiting.reject(told);
    this.events.emit('closed', { error });
  }

  #tookTooLong(last: SluiceError | undefined): SluiceError {
    const urls = this.#options.urls.map((url) => url.text).join(', ');
    const why = last === undefined ? 'no answer' : last.message;
    return new SluiceError(
      'TIMEOUT',
      `no connection to ${urls} within ${this.#options.timeoutMs} ms: ${why}`,
      {
        cause: last,
      },
    );
  }

  /** @param delayMs wait before the first attempt */
  #redial(urls: readonly BrokerUrl[], first: boolean, delayMs = 0): void {
    if (this.#dialling || this.#ended !== undefined) return;
    this.#dialling = true;
    this.#dialUntilUp(urls, first, delayMs).then(
      (session) => {
        this.#dialling = false;
        this.#adopt(session);
      },
      (error: unknown) => {
        this.#dialling = false;
        this.end(asSluiceError(error));
      },
    );
  }

  async #dialUntilUp(urls: readonly BrokerUrl[], first: boolean, firstDelayMs: number): Promise<Session> {
    if (firstDelayMs > 0) await abortableDelay(this.#clock, firstDelayMs, this.#stop.signal);
    for (let attempt = 1; ; attempt++) {
      const failures: SluiceError[] = [];
      for (const url of urls) {
        try {
          return await this.#dial(url, this.#stop.signal);
        } catch (error) {
          failures.push(asSluiceError(error, 'CONNECT_FAILED'));
        }
        if (this.#stop.signal.aborted) throw new SluiceError('CANCELLED', 'the client was closed');
      }
      const worst = failures.find((failure) => HOPELESS.has(failure.code)) ?? failures[0]!;
      if (failures.every((failure) => this.#isHopeless(failure, first))) throw worst;
      if (attempt >= this.#options.maxAttempts) throw worst;
      const delayMs = this.#backoff.nextMs();
      this.events.emit('retrying', { attempt, delayMs, error: worst });
      await abortableDelay(this.#clock, delayMs, this.#stop.signal);
      urls = this.#urlsFromNext(); // alternatives of a GOAWAY are asked once
    }
  }

  /** A certificate may be replaced while a client that was connected before waits; on the first connection it is a mistake. */
  #isHopeless(error: SluiceError, first: boolean): boolean {
    return HOPELESS.has(error.code) && (first || error.code !== 'CERTIFICATE_REJECTED');
  }

  #adopt(session: Session): void {
    if (this.#ended !== undefined || !session.alive) {
      session.close();
      this.#redial(this.#urlsFromNext(), false, this.#backoff.nextMs());
      return;
    }
    const old = this.#session;
    this.#session = session;
    this.#upSinceMs = this.#clock.monotonicMs();
    this.#sessions.add(session);
    session.onGoAway = (alternatives, reason) => this.#goAway(session, alternatives, reason);
    session.onSilent = () => this.#silent(session);
    session.onGone = (error) => this.#gone(session, error);
    this.#nextUrl = Math.max(
      0,
      this.#options.urls.findIndex((url) => url.text === session.url),
    );
    this.events.emit('connected', { url: session.url, nodeId: session.nodeId });
    for (const attachment of [...this.#attachments]) attachment.sessionUp(session);
    for (const waiting of this.#waiting.splice(0)) waiting.resolve(session);
    if (old !== undefined) this.#retire(old);
    if (session.draining) this.#goAway(session, [], 'draining');
  }

  #retire(old: Session): void {
    old.retire();
    this.#clock.setTimer(RETIRE_MS, () => old.close());
  }

  #goAway(session: Session, alternatives: readonly string[], reason: string): void {
    this.events.emit('goaway', { url: session.url, reason });
    if (session !== this.#session) return;
    this.#nextUrl += 1;
    const urls = [...readableUrls(alternatives), ...this.#urlsFromNext()];
    // With nowhere else to go, the same address is tried later: now it would only say GOAWAY again.
    this.#redial(urls, false, urls[0]!.text === session.url ? this.#backoff.nextMs() : this.#flapDelayMs());
  }

  /** Goes to another node, where one is known: this one may be frozen, or its host gone. */
  #silent(session: Session): void {
    if (session !== this.#session) return;
    const { scheme } = parseBrokerUrl(session.url);
    const others = session.nodes.filter(({ nodeId }) => nodeId !== session.nodeId);
    const told = readableUrls(
      others.flatMap(({ urls }) => urls),
      scheme,
    );
    const given = this.#urlsFromNext().filter((url) => url.text !== session.url);
    if (given.length + told.length === 0) return;
    this.#redial([...given, ...told], false);
    session.close(0, 'nothing was heard for seconds');
  }

  /** No wait after a session that has lasted; a growing one after sessions that go as soon as they come. */
  #flapDelayMs(): number {
    if (this.#clock.monotonicMs() - this.#upSinceMs < FLAP_MS) return this.#backoff.nextMs();
    this.#backoff.reset();
    return 0;
  }

  #gone(session: Session, error: SluiceError): void {
    this.#sessions.delete(session);
    if (this.#ended !== undefined) return;
    const current = session === this.#session;
    if (current) {
      this.#session = undefined;
      this.events.emit('disconnected', { url: session.url, error });
    }
    for (const attachment of [...this.#attachments]) attachment.sessionDown(session, error);
    if (current) this.#redial(this.#urlsFromNext(), false, this.#flapDelayMs());
  }

  #urlsFromNext(): readonly BrokerUrl[] {
    const { urls } = this.#options;
    const start = this.#nextUrl % urls.length;
    return [...urls.slice(start), ...urls.slice(0, start)];
  }
}
