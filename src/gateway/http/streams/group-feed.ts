import type { GroupPosition } from '../../../broker/member-commits.ts';
import type { GroupMemberListener } from '../../../broker/group-member.ts';
import { GroupMember } from '../../../broker/group-member.ts';
import type { SluiceError } from '../../../kernel/errors.ts';
import { asSluiceError } from '../../../kernel/errors.ts';
import type { Place } from '../../../partition/place-table.ts';
import type { PartitionReader } from '../../../partition/reader.ts';
import type { ClientMessage, DoneRecord } from './client-message.ts';
import type { Feed, FeedHost, Refused } from './feed.ts';
import type { Lane } from './reader-pump.ts';
import { ReaderPump } from './reader-pump.ts';
import type { GroupStreamRequest } from './stream-request.ts';

/** How far a partition is done. */
interface Progress {
  /** Said to be done, or, where that is committed by itself, gone to the client. */
  done: number;
  committed: number;
}

/** A stream whose client is a member of a consumer group: this node is it in its place. */
export class GroupFeed implements Feed, GroupMemberListener {
  readonly #host: FeedHost;
  readonly #request: GroupStreamRequest;
  readonly #pump: ReaderPump;
  readonly #progress = new WeakMap<Lane, Progress>();
  #member: GroupMember | undefined;

  constructor(host: FeedHost, request: GroupStreamRequest) {
    this.#host = host;
    this.#request = request;
    const { encoding, matchesKey, credit = Infinity } = request;
    this.#pump = new ReaderPump(host, { encoding, matchesKey, credit });
  }

  async open(): Promise<Readonly<Record<string, unknown>>> {
    const { topic, group, start, consumer, instanceId, sessionTimeoutMs } = this.#request;
    const { context, principal } = this.#host;
    const { broker, clock, random } = context;
    const options = { group, filters: [topic], start, clientId: consumer, instanceId, sessionTimeoutMs };
    this.#member = GroupMember.join({ broker, clock, random, principal, listener: this }, options);
    await this.#member.joined;
    return { topic, group };
  }

  assigned(reader: PartitionReader): void {
    const { topic, partition, nextOffset: offset } = reader;
    this.#host.outlet.notice('assigned', { topic, partition, offset });
    this.#pump.add(reader);
    const lane = this.#pump.lane(reader);
    if (lane) this.#progress.set(lane, { done: offset, committed: offset });
  }

  revoked(place: Place): void {
    const lane = this.#pump.drop(place);
    if (!lane) return;
    this.#commit([lane]);
    const { topic, partition } = place;
    this.#host.outlet.notice('revoked', { topic, partition });
  }

  ended(error: SluiceError): void {
    this.#host.end(error);
  }

  wake(): void {
    this.#markSent();
    this.#pump.wake();
  }

  tick(): void {
    if (!this.#request.autoCommit) return;
    this.#markSent();
    this.#commit(this.#pump.lanes);
  }

  /** The group knows. */
  position(): undefined {
    return undefined;
  }

  async take(message: ClientMessage): Promise<readonly Refused[]> {
    const { ack = [], commit, credit } = message;
    if (credit !== undefined) this.#pump.grant(credit);
    const refused: Refused[] = [];
    if (isSettling(message))
      refused.push({
        of: null,
        code: 'UNSUPPORTED',
        message: 'a group only takes ack; queues take the others',
      });
    const positions: GroupPosition[] = [];
    for (const record of commit ? [...ack, commit] : ack) {
      const refusal = typeof record === 'string' ? NO_TOKENS : this.#note(record, positions);
      if (refusal) refused.push({ of: record, ...refusal });
    }
    return [...refused, ...(await this.#store(positions))];
  }

  async close(): Promise<void> {
    if (this.#request.autoCommit && this.#host.outlet.drained) this.#markSent();
    this.#commit(this.#pump.lanes);
    this.#pump.close();
    await this.#member?.close();
  }

  async #store(positions: readonly GroupPosition[]): Promise<readonly Refused[]> {
    if (positions.length === 0) return [];
    try {
      await this.#member!.commit(positions);
      return [];
    } catch (error) {
      const { code, message } = asSluiceError(error);
      const of = positions.map(({ topic, partition, offset }) => ({ topic, partition, offset: offset - 1 }));
      return [{ of, code, message }];
    }
  }

  /** All that was written has gone to the client. */
  #markSent(): void {
    if (!this.#request.autoCommit || !this.#host.outlet.drained) return;
    for (const lane of this.#pump.lanes) {
      const progress = this.#progress.get(lane);
      if (progress) progress.done = lane.position;
    }
  }

  /** Commits what is done in some partitions and was not committed by itself. */
  #commit(lanes: Iterable<Lane>): void {
    const positions: GroupPosition[] = [];
    for (const lane of lanes) {
      const progress = this.#progress.get(lane);
      if (!progress || progress.done <= progress.committed) continue;
      progress.committed = progress.done;
      positions.push({ topic: lane.topic, partition: lane.partition, offset: progress.done });
    }
    // What is refused was not this member's any more, or is committed with the next.
    if (positions.length > 0) this.#member?.commit(positions).catch(() => undefined);
  }

  /** Takes down that a record is done. @returns why not */
  #note(
    { topic = this.#request.topic, partition, offset }: DoneRecord,
    positions: GroupPosition[],
  ): Refusal | undefined {
    const lane = this.#pump.lane({ topic, partition });
    const progress = lane && this.#progress.get(lane);
    if (!lane || !progress)
      return { code: 'STALE_GENERATION', message: 'the partition is not of this stream' };
    if (offset >= lane.position) return { code: 'INVALID_ARGUMENT', message: 'the record has not been sent' };
    // An acknowledgement that was overtaken takes nothing back.
    if (offset < progress.done) return undefined;
    progress.done = offset + 1;
    progress.committed = progress.done;
    positions.push({ topic, partition, offset: progress.done });
    return undefined;
  }
}

function isSettling({ nack, reject, extend, release }: ClientMessage): boolean {
  return (nack ?? reject ?? extend ?? release) !== undefined;
}

type Refusal = Pick<Refused, 'code' | 'message'>;

const NO_TOKENS: Refusal = {
  code: 'INVALID_ARGUMENT',
  message: 'a group takes { partition, offset }, a queue takes tokens',
};
