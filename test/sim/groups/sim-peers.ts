import type { OtherNodes } from '../../../src/broker/other-nodes.ts';
import { SluiceError, asSluiceError } from '../../../src/kernel/errors.ts';
import type { CopyAnswer, CopyReader, CopyRequest } from '../../../src/observers/copy-reader.ts';
import type { PeerServices } from '../../../src/peer/ports.ts';
import type { SeededRandom } from '../../support/seeded-random.ts';
import type { Machine } from '../machine.ts';
import type { Network } from '../network.ts';
import { CallLanes } from '../network.ts';

/** Another node as one asks it. */
export interface ServingPeer {
  readonly machine: Machine;
  /** Undefined while it starts. */
  readonly services: PeerServices | undefined;
}

/** What calls of one process need. */
export interface SimPeersOptions {
  readonly self: Machine;
  readonly network: Network;
  readonly random: SeededRandom;
  readonly peer: (nodeId: string) => ServingPeer;
}

/** Beyond what a call may wait. */
const DEADLINE_MS = 1500;
/** How long the other node may take to learn that nobody waits any more. */
const FORGET_MS = 1000;

/** How a process asks other nodes: publishes in their order, all else in any. */
export class SimPeers implements OtherNodes, CopyReader {
  readonly #options: SimPeersOptions;
  readonly #lanes = new Map<string, CallLanes>();

  constructor(options: SimPeersOptions) {
    this.#options = options;
  }

  forward(...[nodeId, publish, done]: Parameters<OtherNodes['forward']>): void {
    let lanes = this.#lanes.get(nodeId);
    if (!lanes) this.#lanes.set(nodeId, (lanes = new CallLanes()));
    const batch = Buffer.from(publish.batch);
    this.#call(
      nodeId,
      ({ forwards }) =>
        new Promise<Parameters<typeof done>[0]>((resolve) =>
          forwards.forward({ ...publish, batch }, resolve),
        ),
      0,
      lanes,
    ).then(done, (error: unknown) => {
      this.#lanes.delete(nodeId);
      done(asSluiceError(error));
    });
  }

  describePartitions(
    ...[nodeId, refs]: Parameters<OtherNodes['describePartitions']>
  ): ReturnType<OtherNodes['describePartitions']> {
    return this.#call(nodeId, ({ partitions }) => Promise.resolve(partitions.describe(refs)));
  }

  listOffsets(
    ...[nodeId, refs, at]: Parameters<OtherNodes['listOffsets']>
  ): ReturnType<OtherNodes['listOffsets']> {
    return this.#call(nodeId, ({ partitions }) => partitions.listOffsets(refs, at));
  }

  deleteRecords(
    ...[nodeId, refs, before]: Parameters<OtherNodes['deleteRecords']>
  ): ReturnType<OtherNodes['deleteRecords']> {
    return this.#call(nodeId, ({ partitions }) => partitions.deleteRecords(refs, before));
  }

  read(nodeId: string, request: CopyRequest): Promise<CopyAnswer> {
    const gone = new AbortController();
    const { self } = this.#options;
    const ask = ({ copies }: PeerServices) => copies.read(self.name, request, gone.signal);
    return this.#call(nodeId, ask, request.maxWaitMs).catch((error: unknown) => {
      this.#forget(nodeId, gone);
      throw error;
    });
  }

  coordinate(
    ...[nodeId, statePartition, request, waitMs, { asker, signal }]: Parameters<OtherNodes['coordinate']>
  ): ReturnType<OtherNodes['coordinate']> {
    const gone = new AbortController();
    return new Promise((resolve, reject) => {
      const fail = (error: unknown): void => {
        this.#forget(nodeId, gone);
        reject(asSluiceError(error));
      };
      const leave = (): void => fail(new SluiceError('CANCELLED', 'the asker has gone'));
      if (signal.aborted) {
        leave();
        return;
      }
      signal.addEventListener('abort', leave, { once: true });
      this.#call(
        nodeId,
        ({ groups }) => groups.coordinate(statePartition, request, { asker, signal: gone.signal }),
        waitMs,
      )
        .then(resolve, fail)
        .finally(() => signal.removeEventListener('abort', leave));
    });
  }

  #forget(nodeId: string, gone: AbortController): void {
    const { random, peer } = this.#options;
    peer(nodeId).machine.post(FORGET_MS * random.fraction(), () => gone.abort());
  }

  #call<T>(
    nodeId: string,
    effect: (services: PeerServices) => Promise<T>,
    waitMs = 0,
    lanes?: CallLanes,
  ): Promise<T> {
    const { self, network, peer } = this.#options;
    const asked = peer(nodeId);
    const run = (): Promise<T> => {
      const { services } = asked;
      if (!services) throw new SluiceError('UNAVAILABLE', `${nodeId} is starting`);
      return effect(services);
    };
    return network.call(self, asked.machine, waitMs + DEADLINE_MS, run, lanes);
  }
}
