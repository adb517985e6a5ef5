import type { GroupRequest, GroupResponse } from '../gen/sluice/client/v1/groups_pb.ts';
import type { GroupAsking, GroupCase } from '../groups/api.ts';
import type { CoordinatorCounts, Coordinators } from '../groups/coordinators.ts';
import { groupResponse } from '../groups/messages.ts';
import { coordinationKey } from '../groups/question-kinds.ts';
import type { Clock } from '../kernel/clock.ts';
import { delay } from '../kernel/clock.ts';
import { SluiceError } from '../kernel/errors.ts';
import { partitionOfKey } from '../wire/partitioner.ts';
import type { GroupHosts } from './group-hosts.ts';
import type { OtherNodes } from './other-nodes.ts';

/** How long a question waits for somebody who coordinates what it is about, and how often it looks meanwhile, milliseconds. */
const WAIT_MS = 5000;
const LOOK_AGAIN_MS = 50;
/** Time that moving or discarding many records may take. */
const LONG_WORK_MS = 600_000;

/** What a router is made of. */
export interface GroupRouterParts {
  readonly hosts: GroupHosts;
  readonly coordinators: Coordinators;
  /** Undefined on a node on its own. */
  readonly others: OtherNodes | undefined;
  readonly clock: Clock;
}

/** Brings questions to the coordinators of what they are about, here or on other nodes. */
export class GroupRouter {
  readonly #parts: GroupRouterParts;

  constructor(parts: GroupRouterParts) {
    this.#parts = parts;
  }

  /** Of the coordinators of this node. */
  counts(): CoordinatorCounts {
    return this.#parts.coordinators.counts();
  }

  /**
   * Asks whoever coordinates what a question is about; where that is nobody, or not who it was said to be, again for up to five seconds.
   *
   * @throws NOT_LEADER when nobody does; UNAVAILABLE, TIMEOUT: it may have been done; CANCELLED; what is answered
   */
  async ask(request: GroupRequest, asking: GroupAsking): Promise<GroupResponse> {
    return this.#askAt(await this.#partitionOf(request), request, asking);
  }

  /** Asks whoever coordinates what another question is about. */
  async askWhere(about: GroupRequest, request: GroupRequest, asking: GroupAsking): Promise<GroupResponse> {
    return this.#askAt(await this.#partitionOf(about), request, asking);
  }

  /** Asks all coordinators. */
  async askAll(request: GroupRequest, asking: GroupAsking): Promise<GroupResponse[]> {
    const { partitions } = this.#parts.hosts;
    return Promise.all(
      Array.from({ length: partitions }, (_, partition) => this.#askAt(partition, request, asking)),
    );
  }

  /** Asks the coordinator that this node is. @throws NOT_LEADER when it is none; what is answered */
  async askHere(partition: number, { body }: GroupRequest, asking: GroupAsking): Promise<GroupResponse> {
    if (body.case === undefined)
      throw new SluiceError('UNSUPPORTED', 'this broker does not know the question');
    const { coordinators } = this.#parts;
    const answer = await coordinators.ask<GroupCase>(partition, body.case, body.value, asking);
    return groupResponse<GroupCase>(body.case, answer);
  }

  /**
   * Asks whoever coordinates a partition now, once.
   * @throws NOT_LEADER, and nothing has been done; else as {@link ask}
   */
  async askCoordinator(
    partition: number,
    request: GroupRequest,
    asking: GroupAsking,
  ): Promise<GroupResponse> {
    const { hosts, others } = this.#parts;
    const host = hosts.hostOf(partition);
    if (host === 'here') return this.askHere(partition, request, asking);
    if (host === undefined || !others) {
      throw new SluiceError('NOT_LEADER', 'nobody coordinates it at the moment');
    }
    const response = await others.coordinate(host.nodeId, partition, request, waitMsOf(request), asking);
    if (response.body.case === request.body.case) return response;
    throw new SluiceError('PROTOCOL_ERROR', `node ${host.nodeId} has answered something else`);
  }

  /** All that this node coordinates ends. */
  close(): void {
    this.#parts.hosts.close();
  }

  async #partitionOf({ body }: GroupRequest): Promise<number> {
    const key = body.case && coordinationKey(body.case, body.value);
    return partitionOfKey(Buffer.from(key ?? ''), await this.#parts.hosts.ensure());
  }

  async #askAt(partition: number, request: GroupRequest, asking: GroupAsking): Promise<GroupResponse> {
    for (let waitedMs = 0; ; waitedMs += LOOK_AGAIN_MS) {
      if (asking.signal.aborted) throw new SluiceError('CANCELLED', 'the asker has gone');
      try {
        return await this.askCoordinator(partition, request, asking);
      } catch (error) {
        const isElsewhere = error instanceof SluiceError && error.code === 'NOT_LEADER';
        if (!isElsewhere || waitedMs >= WAIT_MS) throw error;
      }
      await delay(this.#parts.clock, LOOK_AGAIN_MS);
    }
  }
}

/** How long a coordinator may let a question wait, besides what answering takes. */
function waitMsOf({ body }: GroupRequest): number {
  if (body.case === 'moveRecords' || body.case === 'discardRecords') return LONG_WORK_MS;
  return body.case === 'joinGroup' || body.case === 'receive' ? body.value.maxWaitMs : 0;
}
