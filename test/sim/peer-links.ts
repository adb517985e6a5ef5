import { SluiceError } from '../../src/kernel/errors.ts';
import type {
  FetchRequest,
  FetchResponse,
  ReplicationClient,
  ReplicationServer,
} from '../../src/partition/replication.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import type { Machine } from './machine.ts';
import type { Network } from './network.ts';
import { Lane } from './network.ts';

/** The other end of links: what runs on a machine now. */
export interface Peer {
  readonly machine: Machine;
  /** Undefined while it starts. */
  readonly replication: ReplicationServer | undefined;
}

/** What links of one process need. */
export interface PeerLinksOptions {
  readonly self: Machine;
  readonly network: Network;
  readonly random: SeededRandom;
  readonly peer: (nodeId: string) => Peer;
}

/** Beyond what the leader may wait. */
const DEADLINE_MS = 1000;
/** How long the other end may take to notice that a connection is gone. */
const FORGET_MS = 1500;

/** One connection: requests and answers each in their order, until it breaks; then everything on it is answered UNAVAILABLE. */
interface Connection {
  isBroken: boolean;
  readonly requests: Lane;
  readonly answers: Lane;
  readonly outstanding: Set<(error: SluiceError) => void>;
}

/**
 * How a process fetches from others: as gRPC streams would have it.
 *
 * What was under way when a connection broke may reach the other end all the same, also after that has been told that the stream has
 * ended, and after the first requests of the next connection.
 */
export class PeerLinks implements ReplicationClient {
  readonly #options: PeerLinksOptions;
  readonly #connections = new Map<string, Connection>();
  readonly #process: number;

  constructor(options: PeerLinksOptions) {
    this.#options = options;
    this.#process = options.self.process;
  }

  fetch(nodeId: string, request: FetchRequest): Promise<FetchResponse> {
    const { self, network, peer } = this.#options;
    const { machine } = peer(nodeId);
    if (!machine.isUp) return this.#refused();
    const connection = this.#connectionTo(nodeId);
    return new Promise((resolve, reject) => {
      const deadline = self.clock.setTimer(request.maxWaitMs + DEADLINE_MS, () =>
        this.#break(nodeId, connection, 'TIMEOUT'),
      );
      const fail = (error: SluiceError): void => {
        deadline.cancel();
        reject(error);
      };
      connection.outstanding.add(fail);
      const isLate = this.#options.random.chance(0.5);
      const arrive = (): void => {
        if (connection.isBroken && !isLate) return;
        this.#serve(nodeId, connection, request, (response) => {
          deadline.cancel();
          connection.outstanding.delete(fail);
          resolve(response);
        });
      };
      network.send(self, machine, arrive, connection.requests);
    });
  }

  /** Breaks what is connected to a node, as a failing network does. */
  breakOff(nodeId: string): void {
    const connection = this.#connections.get(nodeId);
    if (connection) this.#break(nodeId, connection, 'UNAVAILABLE');
  }

  /** The process has ended; the others notice sooner or later. */
  abandon(): void {
    for (const [nodeId, connection] of this.#connections) this.#end(nodeId, connection);
  }

  #serve(
    nodeId: string,
    connection: Connection,
    request: FetchRequest,
    resolve: (response: FetchResponse) => void,
  ): void {
    const { machine, replication } = this.#options.peer(nodeId);
    const answer = (run: () => void): void => this.#answer(machine, connection, run);
    const refuse = (): void => answer(() => this.#break(nodeId, connection, 'UNAVAILABLE'));
    if (!replication) refuse();
    else
      replication
        .fetch(this.#options.self.name, request)
        .then((response) => answer(() => resolve(response)), refuse);
  }

  #answer(from: Machine, connection: Connection, run: () => void): void {
    const { self, network } = this.#options;
    // Of a process that is gone.
    if (self.process !== this.#process) return;
    const arrive = (): void => {
      if (!connection.isBroken) run();
    };
    network.send(from, self, arrive, connection.answers);
  }

  #connectionTo(nodeId: string): Connection {
    const known = this.#connections.get(nodeId);
    if (known) return known;
    const connection: Connection = {
      isBroken: false,
      requests: new Lane(),
      answers: new Lane(),
      outstanding: new Set(),
    };
    this.#connections.set(nodeId, connection);
    return connection;
  }

  #break(nodeId: string, connection: Connection, code: 'UNAVAILABLE' | 'TIMEOUT'): void {
    if (connection.isBroken) return;
    this.#end(nodeId, connection);
    for (const fail of connection.outstanding) {
      fail(new SluiceError(code, `the stream to ${nodeId} is gone`));
    }
    connection.outstanding.clear();
  }

  #end(nodeId: string, connection: Connection): void {
    connection.isBroken = true;
    this.#connections.delete(nodeId);
    const { self, random, peer } = this.#options;
    const { machine } = peer(nodeId);
    machine.post(random.fraction() * FORGET_MS, () => peer(nodeId).replication?.forget(self.name));
  }

  #refused(): Promise<never> {
    return new Promise((_, reject) => {
      this.#options.self.clock.setTimer(this.#options.network.delayMs(), () =>
        reject(new SluiceError('UNAVAILABLE', 'connection refused')),
      );
    });
  }
}
