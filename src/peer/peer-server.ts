import type { Clock } from '../kernel/clock.ts';
import type { SluiceError } from '../kernel/errors.ts';
import { checkNodeIdentity } from '../security/node-identity.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Route } from '../transport/grpc/grpc-server.ts';
import { GrpcServer, answers, streams } from '../transport/grpc/grpc-server.ts';
import { tellable } from '../transport/grpc/grpc-error.ts';
import type { GrpcTls } from '../transport/grpc/grpc-tls.ts';
import type { RpcMethod } from '../transport/grpc/rpc-method.ts';
import { FetchAnswers } from './fetch-answers.ts';
import { ForwardAnswers } from './forward-answers.ts';
import { PEER } from './peer-methods.ts';
import type { PeerSettings } from './peer-settings.ts';
import type { PeerServices } from './ports.ts';
import { ReadAnswers } from './read-answers.ts';

/** Where a node listens for the others, and for whom. */
export interface PeerServerOptions {
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  /** Name of the cluster; nodes of another are refused. */
  readonly cluster: string;
  readonly tls: GrpcTls;
  readonly settings: PeerSettings;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Does for other nodes what they ask for. Who they are say their certificates. */
export class PeerServer {
  readonly #server: GrpcServer;

  private constructor(server: GrpcServer) {
    this.#server = server;
  }

  /** @throws INVALID_CONFIG when the certificates cannot be used; ADDRESS_IN_USE */
  static async listen(options: PeerServerOptions, services: PeerServices): Promise<PeerServer> {
    const { host, port, cluster, tls, settings, clock, log } = options;
    const server = await GrpcServer.listen(
      {
        ...{ host, port, tls, clock, settings: settings.grpc },
        identify: (certificate) => checkNodeIdentity(certificate, { cluster, nodeId: undefined }).nodeId,
      },
      routesOf(services, log),
    );
    return new PeerServer(server);
  }

  get port(): number {
    return this.#server.port;
  }

  /** New certificates for connections to come; those that are open go on. @throws INVALID_CONFIG, and nothing has changed then */
  setTls(tls: GrpcTls): void {
    this.#server.setTls(tls);
  }

  /** Takes no more calls and cuts off after `graceMs` those that have not ended; streams of other nodes end only so. */
  close(graceMs: number): Promise<void> {
    return this.#server.close(graceMs);
  }
}

function routesOf(
  { replication, forwards, partitions, copies, groups }: PeerServices,
  log: Logger,
): Route<string>[] {
  /** What is wrong with a program is told to nobody else. */
  const logFault = (event: string, peer: string, error: SluiceError | undefined): void => {
    if (error?.code === 'INTERNAL') log.error(event, { peer, error });
  };
  const ended = (nodeId: string, error: SluiceError | undefined): void =>
    logFault('peer.stream_failed', nodeId, error);
  const told = (nodeId: string, error: unknown): SluiceError => {
    const known = tellable(error);
    logFault('peer.call_failed', nodeId, known);
    return known;
  };
  const calls = <In, Out>(
    method: RpcMethod<In, Out>,
    answer: (nodeId: string, request: In, gone: AbortSignal) => Out | Promise<Out>,
  ): Route<string> =>
    answers(method, async (nodeId: string, request: In, gone) => {
      try {
        return await answer(nodeId, request, gone);
      } catch (error) {
        throw told(nodeId, error);
      }
    });
  return [
    streams(
      PEER.replicate,
      newestOfEach((nodeId, stream, onEnd) => new FetchAnswers(nodeId, stream, replication, onEnd), ended),
    ),
    streams(
      PEER.forward,
      newestOfEach((_, stream, onEnd) => new ForwardAnswers(stream, forwards, onEnd), ended),
    ),
    streams(
      PEER.read,
      newestOfEach(
        (nodeId, stream, onEnd) =>
          new ReadAnswers(nodeId, stream, { copies, told: (error) => told(nodeId, error), onEnd }),
        ended,
      ),
    ),
    calls(PEER.describePartitions, (_, refs) => partitions.describe(refs)),
    calls(PEER.listOffsets, (_, request, gone) =>
      partitions.listOffsets(request.partitions, request.start, { gone }),
    ),
    calls(PEER.deleteRecords, (_, request) => partitions.deleteRecords(request.partitions, request.start)),
    calls(PEER.coordinate, (_, { statePartition, request, asker }, gone) =>
      groups.coordinate(statePartition, request, { asker, signal: gone }),
    ),
  ];
}

/** One end of a stream that a node has opened. */
interface Replaceable {
  /** Ends the stream, because the node has opened another. */
  replace(): void;
}

/**
 * Keeps one stream of each node: the newest counts, because the end of a broken one may be noticed late, and what a stream may hold is bounded.
 *
 * @param make `onEnd` is to be called when the stream is over
 * @param ended told of each that is, and why
 */
function newestOfEach<Stream>(
  make: (nodeId: string, stream: Stream, onEnd: (error: SluiceError | undefined) => void) => Replaceable,
  ended: (nodeId: string, error: SluiceError | undefined) => void,
): (nodeId: string, stream: Stream) => void {
  const newest = new Map<string, Replaceable>();
  return (nodeId, stream) => {
    newest.get(nodeId)?.replace();
    const one = make(nodeId, stream, (error) => {
      if (newest.get(nodeId) === one) newest.delete(nodeId);
      ended(nodeId, error);
    });
    newest.set(nodeId, one);
  };
}
