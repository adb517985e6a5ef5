import type { AssignedPartition as WireAssigned } from '../../gen/sluice/client/v1/groups_pb.ts';
import { Backoff } from '../../kernel/backoff.ts';
import { abortableDelay } from '../../kernel/clock.ts';
import type { SluiceError } from '../../kernel/errors.ts';
import { asSluiceError } from '../../kernel/errors.ts';
import { offsetFromWire } from '../../wire/offset.ts';
import type { AskGroup } from '../group-requests.ts';
import type { ClientPorts } from '../ports.ts';
import type { Position } from '../subscription/subscribe-options.ts';
import { startMessage } from '../subscription/subscribe-options.ts';
import type { GroupPlan } from './options.ts';

/** A member, as its membership sees it. */
export interface MembershipHost {
  /** What it reads now, what it is giving up included. */
  owned(): readonly { readonly topic: string; readonly partition: number }[];
  /** This is what it may read now, and where to begin; resolves when everything else is given up. @returns whether something changes */
  assign(assigned: readonly Position[]): { readonly changed: boolean; readonly done: Promise<void> };
  /** It was taken for gone: others have its partitions. */
  lost(): void;
  /** It cannot be a member. */
  failed(error: SluiceError): void;
}

/** A request waits no longer than that at the broker, milliseconds. */
const MAX_WAIT_MS = 5000;
const LEAVE_TIMEOUT_MS = 3000;

/**
 * Says again and again that the member is alive, and hears what is assigned to it.
 *
 *     join ── answer: assigned ──> give up, begin ──> join (owned) ── answer when that differs, or after a while ──> …
 */
export class Membership {
  readonly memberId: string;
  readonly #ask: AskGroup;
  readonly #ports: ClientPorts;
  readonly #plan: GroupPlan;
  readonly #clientId: string;
  readonly #host: MembershipHost;
  readonly #stop = new AbortController();
  readonly #backoff: Backoff;
  #generation = 0;
  /** Monotonic time at which the last answer was given, milliseconds; never later than that. */
  #heardMs = 0;

  constructor(ask: AskGroup, ports: ClientPorts, plan: GroupPlan, clientId: string, host: MembershipHost) {
    this.memberId = ports.random.uuid();
    this.#ask = ask;
    this.#ports = ports;
    this.#plan = plan;
    this.#clientId = clientId;
    this.#host = host;
    this.#backoff = new Backoff({ minMs: 50, maxMs: 2000 }, ports.random);
  }

  /** Of the group, as the member has seen it; 0: it is none now. */
  get generation(): number {
    return this.#generation;
  }

  /** Whether there was no answer for the session timeout: others may have its partitions, and it must not read on. */
  get isSilent(): boolean {
    return this.#generation > 0 && this.#silentMs >= this.#plan.sessionTimeoutMs;
  }

  start(): void {
    void this.#run();
  }

  /** Says no more that the member is alive. Idempotent. */
  stop(): void {
    this.#stop.abort();
  }

  /** Tells the broker that the member has gone; a static one may come back. Never rejects: the session timeout does the same later. */
  async leave(): Promise<void> {
    this.stop();
    if (this.#generation === 0) return;
    const { group, instanceId } = this.#plan;
    const request = { group, memberId: this.memberId, returning: instanceId !== '' };
    const given = new Promise<void>((resolve) => {
      this.#ports.clock.setTimer(LEAVE_TIMEOUT_MS, resolve);
    });
    const told = this.#ask('leaveGroup', request, { again: false });
    await Promise.race([told.then(ignore, ignore), given]);
  }

  #isStopped(): boolean {
    return this.#stop.signal.aborted;
  }

  async #run(): Promise<void> {
    while (!this.#isStopped()) {
      try {
        await this.#round();
      } catch (error) {
        if (this.#isStopped()) return;
        if (!this.#mayGoOn(asSluiceError(error))) return;
        await this.#rest(this.#backoff.nextMs());
      }
    }
  }

  async #round(): Promise<void> {
    const { clock } = this.#ports;
    let askedMs = clock.monotonicMs();
    const waitMs = Math.min(MAX_WAIT_MS, Math.floor(this.#plan.sessionTimeoutMs / 3));
    const answer = await this.#ask('joinGroup', this.#request(waitMs), {
      waitMs,
      signal: this.#stop.signal,
      onAgain: () => (askedMs = clock.monotonicMs()),
    });
    if (this.#isStopped()) return;
    const isNew = this.#generation === 0;
    this.#generation = answer.generation;
    const nowMs = clock.monotonicMs();
    // What has lain here while the process was stopped says nothing of now: it was answered when its wait was over.
    this.#heardMs = Math.min(nowMs, askedMs + waitMs);
    const { changed, done } = this.#host.assign(answer.assigned.map(positionFromWire));
    // While a partition is being given up the member goes on saying that it is alive.
    await Promise.race([done, this.#rest(waitMs)]);
    if (isNew || changed || nowMs - askedMs > waitMs / 2) this.#backoff.reset();
    else await this.#rest(this.#backoff.nextMs());
  }

  #request(maxWaitMs: number) {
    const { group, instanceId, topics, sessionTimeoutMs, from } = this.#plan;
    return {
      group,
      memberId: this.memberId,
      generation: this.#generation,
      instanceId,
      filters: [...topics],
      owned: this.#host.owned().map(({ topic, partition }) => ({ topic, partition })),
      sessionTimeoutMs,
      maxWaitMs,
      start: startMessage(from),
      clientId: this.#clientId,
    };
  }

  /** @returns false when it was the last time */
  #mayGoOn(error: SluiceError): boolean {
    const wasMember = this.#generation > 0;
    if (error.code === 'UNKNOWN_MEMBER' && wasMember && !this.#isFenced()) {
      this.#generation = 0;
      this.#host.lost();
      return true;
    }
    if (error.retryable && error.code !== 'CLOSED') return true;
    this.#host.failed(error);
    return false;
  }

  /** A static member that is not known though it was heard of lately has a successor of the same instance id. */
  #isFenced(): boolean {
    return this.#plan.instanceId !== '' && this.#silentMs < this.#plan.sessionTimeoutMs;
  }

  get #silentMs(): number {
    return this.#ports.clock.monotonicMs() - this.#heardMs;
  }

  /** Waits, but not beyond the end. */
  #rest(delayMs: number): Promise<void> {
    return abortableDelay(this.#ports.clock, delayMs, this.#stop.signal).catch(ignore);
  }
}

function ignore(): void {
  // What it was about is over.
}

function positionFromWire({ topic, partition, offset }: WireAssigned): Position {
  return { topic, partition, offset: offsetFromWire(offset) };
}
