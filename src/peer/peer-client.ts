import type { Clock } from '../kernel/clock.ts';
import type { GroupRequest, GroupResponse } from '../gen/sluice/client/v1/groups_pb.ts';
import type { GroupAsking } from '../groups/api.ts';
import { SluiceError, asSluiceError } from '../kernel/errors.ts';
import type { Random } from '../kernel/random.ts';
import type { Start } from '../partition/reader.ts';
import type {
  FetchRequest,
  FetchResponse,
  PartitionRef,
  ReplicationClient,
} from '../partition/replication.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { GrpcTls } from '../transport/grpc/grpc-tls.ts';
import { secureContextOptions } from '../transport/grpc/grpc-tls.ts';
import type { RpcMethod } from '../transport/grpc/rpc-method.ts';
import type { ForwardCounters } from './forward-calls.ts';
import { PeerLink } from './peer-link.ts';
import { PEER } from './peer-methods.ts';
import type { PeerSettings } from './peer-settings.ts';
import type { ForwardCallback, ForwardedPublish, PartitionFacts, ReadAnswer, ReadRequest } from './ports.ts';

/** How long a leader lets a deletion wait for the other in-sync replicas, milliseconds. @see deleteForGood */
const DELETION_WAIT_MS = 12_000;

/** What a node needs to reach the others. */
export interface PeerClientOptions {
  /** Name of the cluster. */
  readonly cluster: string;
  readonly tls: GrpcTls;
  readonly settings: PeerSettings;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** `host:port` where a node listens for the others; undefined: not a member now. Asked before each connection. */
  readonly addressOf: (nodeId: string) => string | undefined;
}

/**
 * Asks other nodes: one connection to each, made when it is first needed and shared by everything. Errors besides those of the other
 * node: UNAVAILABLE when it cannot be reached, is gone or frozen, at once while it is known to be; TIMEOUT.
 */
export class PeerClient implements ReplicationClient {
  /** Plain counts for metrics. */
  readonly counters: ForwardCounters = { publishes: 0, bytes: 0, messages: 0, overloaded: 0 };
  readonly #options: PeerClientOptions;
  readonly #links = new Map<string, PeerLink>();
  #tls: GrpcTls;
  #closed = false;

  /** @throws INVALID_CONFIG when the certificates cannot be used */
  constructor(options: PeerClientOptions) {
    secureContextOptions(options.tls);
    this.#options = options;
    this.#tls = options.tls;
  }

  /** Connections that are there or being made. */
  get connections(): number {
    return [...this.#links.values()].filter(({ current }) => current).length;
  }

  /** Bytes of publishes that no other node has answered yet. */
  get forwardBytes(): number {
    let bytes = 0;
    for (const { current } of this.#links.values()) bytes += current?.forwardBytes ?? 0;
    return bytes;
  }

  async fetch(nodeId: string, request: FetchRequest): Promise<FetchResponse> {
    return this.#link(nodeId).connection().fetch(request);
  }

  /**
   * Hands a publish to the leader; those to one node and partition arrive in the order of the calls, as long as its connection lasts.
   *
   * @param done called exactly once, perhaps at once: what the leader answers (NOT_LEADER when it is none in that epoch); OVERLOADED when
   *   too much is on its way there; UNAVAILABLE, TIMEOUT: it may have been stored
   */
  forward(nodeId: string, publish: ForwardedPublish, done: ForwardCallback): void {
    try {
      this.#link(nodeId).connection().forward(publish, done);
    } catch (error) {
      done(asSluiceError(error));
    }
  }

  /** Reads from the copy that another node has. @throws as `LocalCopies.read` */
  async read(nodeId: string, request: ReadRequest): Promise<ReadAnswer> {
    return this.#link(nodeId).connection().read(request);
  }

  /** How partitions are that the other node leads. */
  describePartitions(
    nodeId: string,
    partitions: readonly PartitionRef[],
  ): Promise<readonly (PartitionFacts | SluiceError)[]> {
    return this.#call(nodeId, PEER.describePartitions, partitions);
  }

  /** Offsets of partitions that the other node leads. @param gone aborts when nobody waits for them any more */
  listOffsets(
    nodeId: string,
    partitions: readonly PartitionRef[],
    start: Start,
    gone?: AbortSignal,
  ): Promise<readonly (number | SluiceError)[]> {
    return this.#call(nodeId, PEER.listOffsets, { partitions, start }, 0, gone);
  }

  /** Deletes records of partitions that the other node leads. */
  deleteRecords(
    nodeId: string,
    partitions: readonly PartitionRef[],
    before: Start,
  ): Promise<readonly (number | SluiceError)[]> {
    return this.#call(nodeId, PEER.deleteRecords, { partitions, start: before }, DELETION_WAIT_MS);
  }

  /** Asks the coordinator that the other node is. @throws NOT_LEADER, CANCELLED, what it answers */
  coordinate(
    nodeId: string,
    statePartition: number,
    request: GroupRequest,
    waitMs: number,
    { asker, signal }: GroupAsking,
  ): Promise<GroupResponse> {
    return this.#call(nodeId, PEER.coordinate, { statePartition, request, asker }, waitMs, signal);
  }

  /** New certificates for connections to come; those that are open go on. @throws INVALID_CONFIG, and nothing has changed then */
  setTls(tls: GrpcTls): void {
    secureContextOptions(tls);
    this.#tls = tls;
  }

  /** A node is no member any more: what it was asked fails with UNAVAILABLE now, not only when its silence is noticed. */
  left(nodeId: string): void {
    this.#links
      .get(nodeId)
      ?.current?.end(new SluiceError('UNAVAILABLE', 'it is no member of the cluster any more'));
  }

  /** Ends all connections; what is not answered fails with UNAVAILABLE, and so does everything from now on. */
  close(): void {
    this.#closed = true;
    const error = new SluiceError('UNAVAILABLE', 'this node stops');
    for (const { current } of this.#links.values()) current?.end(error);
    this.#links.clear();
  }

  async #call<In, Out>(
    nodeId: string,
    method: RpcMethod<In, Out>,
    request: In,
    waitMs = 0,
    signal?: AbortSignal,
  ): Promise<Out> {
    return this.#link(nodeId).connection().call(method, request, waitMs, signal);
  }

  #link(nodeId: string): PeerLink {
    if (this.#closed) throw new SluiceError('UNAVAILABLE', 'this node stops');
    const link = this.#links.get(nodeId);
    if (link) return link;
    const { cluster, settings, clock, random, log, addressOf } = this.#options;
    this.#forgetMembersThatLeft();
    const made = new PeerLink(nodeId, {
      ...{ cluster, settings, clock, random, log, addressOf, counters: this.counters },
      tls: () => this.#tls,
    });
    this.#links.set(nodeId, made);
    return made;
  }

  #forgetMembersThatLeft(): void {
    for (const [nodeId, { current }] of this.#links) {
      if (!current && this.#options.addressOf(nodeId) === undefined) this.#links.delete(nodeId);
    }
  }
}
