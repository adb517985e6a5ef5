import type { GroupRequest, GroupResponse } from '../gen/sluice/client/v1/groups_pb.ts';
import type { AskOptions, GroupAsking, GroupAnswer, GroupCase, GroupQuestionInit } from '../groups/api.ts';
import type { CoordinatorCounts } from '../groups/coordinators.ts';
import { answerIn, groupRequest, groupResponse } from '../groups/messages.ts';
import { SluiceError } from '../kernel/errors.ts';
import { visibleAssignment, visibleGroup, visibleGroups, visibleQueues } from './group-answers.ts';
import type { GroupRights } from './group-rights.ts';
import type { GroupRouter } from './group-router.ts';
import type { Principal } from './ports.ts';
import type { UntoldLeases } from './untold-leases.ts';

/** What a client that is sent away still has to say: it gives back, stores how far it is, and leaves. */
const FAREWELLS: ReadonlySet<GroupCase> = new Set(['settle', 'commitOffsets', 'leaveGroup']);

/** Consumer groups and queues: who may. Which node coordinates them knows the router. */
export class Groups {
  readonly #rights: GroupRights;
  readonly #router: GroupRouter;
  readonly #untold: Pick<UntoldLeases, 'close'>;
  /** Questions of clients of this node that are not answered. */
  readonly #asked = new Map<AbortController, GroupCase>();
  #state: 'open' | 'draining' | 'closed' = 'open';

  /** @param untold ends with this */
  constructor(rights: GroupRights, router: GroupRouter, untold: Pick<UntoldLeases, 'close'>) {
    this.#rights = rights;
    this.#router = router;
    this.#untold = untold;
  }

  /** Questions of clients of this node that are not answered. */
  get waiting(): number {
    return this.#asked.size;
  }

  /** Of the coordinators of this node. */
  counts(): CoordinatorCounts {
    return this.#router.counts();
  }

  /**
   * Asks the coordinator, here or on another node; waits up to five seconds for one.
   *
   * @param name of the question; the answer has the same
   * @throws FORBIDDEN, INVALID_TOPIC, INVALID_FILTER, INVALID_ARGUMENT; DRAINING; NOT_LEADER when nobody coordinates it; UNAVAILABLE, TIMEOUT: it may
   *   have been done; CANCELLED when the asker has gone; what the coordinator answers
   */
  async ask<C extends GroupCase>(
    principal: Principal,
    name: C,
    question: GroupQuestionInit<C>,
    { signal }: AskOptions = {},
  ): Promise<GroupAnswer<C>> {
    if (!this.#takes(name)) throw draining();
    const gone = new AbortController();
    const abort = (): void => gone.abort(signal?.reason);
    if (signal?.aborted) abort();
    signal?.addEventListener('abort', abort, { once: true });
    this.#asked.set(gone, name);
    try {
      const request = await this.#rights.admit(principal, groupRequest(name, question));
      return answerIn<C>(await this.#ask(principal, request, this.#asking(principal, gone.signal)));
    } catch (error) {
      throw gone.signal.reason instanceof SluiceError ? gone.signal.reason : error;
    } finally {
      this.#asked.delete(gone);
      signal?.removeEventListener('abort', abort);
    }
  }

  /**
   * Asks the coordinator that this node is, for another node whose client may.
   * @param partition of `__groups`
   * @throws NOT_LEADER when it is none; what it answers
   */
  coordinate(partition: number, request: GroupRequest, asking: GroupAsking): Promise<GroupResponse> {
    return this.#router.askHere(partition, request, asking);
  }

  /** Questions that wait are given up, and none are taken any more, but those with which a client goes: DRAINING. Idempotent. */
  drain(): void {
    if (this.#state === 'open') this.#state = 'draining';
    for (const [gone, name] of this.#asked) if (!this.#takes(name)) gone.abort(draining());
  }

  /** Gives up all questions, and ends what is coordinated here. Resolves when nothing of it is under way any more. */
  async close(): Promise<void> {
    this.#state = 'closed';
    this.drain();
    const untold = this.#untold.close();
    // What is under way may wait for a coordinator of this node.
    this.#router.close();
    await untold;
  }

  #takes(name: GroupCase): boolean {
    return this.#state === 'open' || (this.#state === 'draining' && FAREWELLS.has(name));
  }

  async #ask(principal: Principal, request: GroupRequest, asking: GroupAsking): Promise<GroupResponse> {
    const { body } = request;
    if (body.case === 'listGroups' || body.case === 'listQueues') {
      return this.#list(principal, body.case, await this.#router.askAll(request, asking));
    }
    if (body.case === 'deleteGroup') await this.#checkDeletion(principal, request, body.value.group, asking);
    const response = await this.#router.ask(request, asking);
    const answer = response.body;
    if (answer.case === 'joinGroup') visibleAssignment(this.#rights, principal, answer.value);
    if (answer.case === 'describeGroup') visibleGroup(this.#rights, principal, answer.value);
    return response;
  }

  #asking(principal: Principal, signal: AbortSignal): GroupAsking {
    const administers = this.#rights.access.allows(principal, 'admin', undefined);
    return { asker: { principal: principal.name, administers }, signal };
  }

  #list(
    principal: Principal,
    name: 'listGroups' | 'listQueues',
    answers: readonly GroupResponse[],
  ): GroupResponse {
    if (name === 'listGroups') {
      const groups = answers.flatMap((answer) => answerIn<'listGroups'>(answer).groups);
      return groupResponse(name, { groups: visibleGroups(this.#rights, principal, groups) });
    }
    const queues = answers.flatMap((answer) => answerIn<'listQueues'>(answer).queues);
    return groupResponse(name, { queues: visibleQueues(this.#rights, principal, queues) });
  }

  /** Who deletes a group forgets where it was in each of its topics. @throws FORBIDDEN */
  async #checkDeletion(
    principal: Principal,
    request: GroupRequest,
    name: string,
    asking: GroupAsking,
  ): Promise<void> {
    const answer = await this.#router.askWhere(request, groupRequest('listGroups', {}), asking);
    const { groups } = answerIn<'listGroups'>(answer);
    const { topics = [] } = groups.find(({ group }) => group === name) ?? {};
    if (topics.every((topic) => this.#rights.mayRead(principal, topic))) return;
    // Which they are is not told.
    this.#rights.access.refuse(principal, 'subscribe', '*');
  }
}

function draining(): SluiceError {
  return new SluiceError('DRAINING', 'this node is going; connect to another one');
}
